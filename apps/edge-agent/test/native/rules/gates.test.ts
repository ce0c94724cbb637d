import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { createConfiguredStore } from '../../configured-store.ts';
import { type FetchOptions, fetchThrough, fetchThroughH2 } from '../../fetch-through.ts';
import { appliedAt, startTestEdge } from '../../start-test-edge.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

let reached = 0;
const upstream = await startUpstream(t, (_request, response) => {
  reached += 1;
  response.end('from the upstream');
});
const edge = await startWorker(t);
const fetches = [fetchThrough, fetchThroughH2];

async function serve(more: object, id = 'shop'): Promise<void> {
  await edge.applied(await edge.serve(id, [`${id}.example.com`], [{ url: upstream.url }], ['/'], more));
  t.same(edge.status().refusals, []);
}

const at = (more: Partial<FetchOptions> = {}): FetchOptions => ({
  port: edge.httpsPort,
  host: 'shop.example.com',
  root: edge.root,
  ...more,
});

t.test(
  'clients are let in by their address, deny before allow, and others do not reach the upstream',
  async (t) => {
    const cases: [object, string, number][] = [
      [{ allow: ['127.0.0.1'] }, '127.0.0.1', 200],
      [{ allow: ['127.0.0.1'] }, '127.0.0.2', 403],
      [{ allow: ['127.0.0.0/8'], deny: ['127.0.0.2'] }, '127.0.0.2', 403],
      [{ allow: ['127.0.0.0/8'], deny: ['127.0.0.2'] }, '127.0.0.3', 200],
      [{ deny: ['127.0.0.0/30'] }, '127.0.0.3', 403],
      [{ deny: ['127.0.0.0/30'] }, '127.0.0.4', 200],
      [{ allow: ['::/0'] }, '127.0.0.1', 403],
      [{ deny: ['::/0'] }, '127.0.0.1', 200],
      [{}, '127.0.0.1', 200],
    ];
    for (const [access, localAddress, status] of cases) {
      await serve({ access });
      for (const fetch of fetches) {
        reached = 0;
        const answer = await fetch(at({ localAddress }));
        t.equal(answer.status, status, `${fetch.name} ${JSON.stringify(access)} ${localAddress}`);
        t.equal(reached, status === 200 ? 1 : 0);
        if (status === 403) t.match(JSON.parse(answer.body), { code: 'access_denied', status: 403 });
      }
    }
  },
);

t.test(
  'beyond the limit a request is answered 429, with when to come again, and a change of the route gives no new one',
  async (t) => {
    const rateLimit = { requests: 2, perMs: 3_600_000, by: 'client_address' };
    await serve({ rateLimit });
    for (const localAddress of ['127.0.0.1', '127.0.0.2']) {
      for (const fetch of fetches) t.equal((await fetch(at({ localAddress }))).status, 200, localAddress);
      reached = 0;
      for (const fetch of fetches) {
        const answer = await fetch(at({ localAddress }));
        t.match(answer, { status: 429, headers: { 'retry-after': /^(?:1800|1799)$/ } });
        t.match(JSON.parse(answer.body), { code: 'rate_limited' });
      }
      t.equal(reached, 0);
    }
    t.equal(edge.worker.figures().rules.rateBuckets, 2);
    await serve({ rateLimit, access: { deny: ['192.0.2.1'] } });
    t.equal((await fetchThrough(at())).status, 429);
    await serve({ rateLimit: { ...rateLimit, requests: 1 } });
    t.equal((await fetchThrough(at())).status, 429);
    await serve({});
    t.equal((await fetchThrough(at())).status, 200);
  },
);

t.test('a limit can be for all, or for each value of a header', async (t) => {
  await serve({ rateLimit: { requests: 1, perMs: 3_600_000, by: 'route' } }, 'all');
  t.equal((await fetchThrough(at({ host: 'all.example.com' }))).status, 200);
  t.equal((await fetchThrough(at({ host: 'all.example.com', localAddress: '127.0.0.2' }))).status, 429);
  await serve({ rateLimit: { requests: 1, perMs: 3_600_000, by: { header: 'X-Api-Key' } } }, 'keys');
  const key = async (headers: Record<string, string>) =>
    (await fetchThrough(at({ host: 'keys.example.com', headers }))).status;
  t.strictSame(
    [await key({ 'x-api-key': 'a' }), await key({ 'X-API-KEY': 'a' }), await key({ 'x-api-key': 'b' })],
    [200, 429, 200],
  );
  t.strictSame([await key({}), await key({ 'x-other': 'a' })], [200, 429], 'those without it share one');
  t.equal(
    (await fetchThroughH2(at({ host: 'keys.example.com', headers: { 'x-api-key': 'b' } }))).status,
    429,
    'over both protocols',
  );
});

t.test('the workers of an edge share a limit', async (t) => {
  const configured = await createConfiguredStore();
  const rateLimit = { requests: 40, perMs: 86_400_000, by: 'route' as const };
  const { number } = await configured.serve('shop', ['shop.example.com'], [upstream.url], ['/'], {
    rateLimit,
  });
  const { addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t), workers: 2 });
  await appliedAt(configured, number);
  let passed = 0;
  // Until both have had their turn, whichever the kernel gives a connection to.
  for (let refused = 0; refused < 30; ) {
    const { status } = await fetchThrough(at({ port: addresses.https.port, root: configured.root }));
    if (status === 200) passed += 1;
    refused = status === 429 ? refused + 1 : 0;
  }
  t.ok(passed >= 40 && passed < 80, `${passed} of 40 passed, and 80 would without a word between them`);
});
