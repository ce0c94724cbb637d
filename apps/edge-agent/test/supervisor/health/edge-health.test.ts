import type { Hint } from '@lockstep/contract';
import { RouteHealth } from '@lockstep/contract/schemas';
import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { createConfiguredStore } from '../../configured-store.ts';
import { fetchThrough } from '../../fetch-through.ts';
import { childrenOf, presenceOf, startTestEdge } from '../../start-test-edge.ts';
import { startUpstream } from '../../start-upstream.ts';

const host = 'shop.example.com';

t.test(
  'an edge checks an upstream once for all its workers, and one that starts anew knows the verdict',
  async (t) => {
    const configured = await createConfiguredStore();
    t.teardown(() => configured.close());
    const seen = { checks: 0, requests: 0 };
    const sick = await startUpstream(t, ({ url }, response) => {
      seen[url === '/health' ? 'checks' : 'requests'] += 1;
      response.writeHead(503).end();
    });
    const sound = await startUpstream(t, (_request, response) => response.end('sound'));
    const health = RouteHealth.parse({
      active: { path: '/health', intervalMs: 3_600_000 },
      passive: { failures: 1 },
    });
    await configured.serve('shop', [host], [sick.url, sound.url], ['/'], { health });
    const { edge, addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t), workers: 2 });

    const { report } = await presenceOf(
      configured,
      ({ report }) => report.upstreams?.unhealthy === 1 && report.upstreams.watched === 2,
      'the edge to report it',
    );
    t.match(report.upstreams?.first, [{ url: sick.url, detail: 'it answered 503', since: String }]);
    const get = () => fetchThrough({ port: addresses.https.port, host, root: configured.root });
    // Each worker answers behind what it was told before.
    await fetch(`http://127.0.0.1:${addresses.admin.port}/metrics`);
    for (let i = 0; i < 8; i += 1) t.match(await get(), { status: 200, body: 'sound' });

    const [killed] = childrenOf(edge.pid!);
    process.kill(killed!, 'SIGKILL');
    await presenceOf(configured, ({ report }) => report.workers.ready === 1, 'a worker to be missing');
    await presenceOf(configured, ({ report }) => report.workers.ready === 2, 'the worker to be replaced');
    for (let i = 0; i < 16; i += 1) t.match(await get(), { status: 200, body: 'sound' });
    t.same(seen, { checks: 1, requests: 0 });

    const heard: Extract<Hint, { hint: 'upstream-states' }>[] = [];
    configured.store.watchHints((hint) => {
      if (hint.hint === 'upstream-states') heard.push(hint);
    });
    const ask = async (id: string, after: string, node = 'edge-1') => {
      await configured.store.sendHint({ hint: 'upstreams', node, id, after, limit: 1 });
      return waitFor(() => heard.find((hint) => hint.id === id), { what: 'the edge to tell' });
    };
    await configured.store.sendHint({ hint: 'upstreams', node: 'edge-2', id: 'other', after: '', limit: 1 });
    const first = await ask('one', '');
    const second = await ask('two', first.next!);
    t.equal(second.next, null);
    t.match(
      [...first.states, ...second.states].sort((a) => (a.url === sick.url ? -1 : 1)),
      [
        { url: sick.url, state: 'unhealthy', by: 'active', detail: 'it answered 503', checkedAt: String },
        { url: sound.url, state: 'healthy', by: null, detail: null, checkedAt: String },
      ],
    );
    t.notOk(
      heard.some(({ id }) => id === 'other'),
      'another node was asked',
    );

    const metrics = await (await fetch(`http://127.0.0.1:${addresses.admin.port}/metrics`)).text();
    t.match(metrics, /^lockstep_edge_upstreams\{state="unhealthy"\} 1$/m);
    t.match(metrics, new RegExp(`^lockstep_edge_upstream_unhealthy\\{upstream="${sick.url}"\\} 1$`, 'm'));
    t.match(metrics, /^lockstep_edge_upstream_checks_total\{outcome="failed"\} 1$/m);
  },
);

t.test('what one worker finds of an upstream by its requests, all know', async (t) => {
  const configured = await createConfiguredStore();
  t.teardown(() => configured.close());
  let requests = 0;
  const sick = await startUpstream(t, (_request, response) => {
    requests += 1;
    response.writeHead(500).end();
  });
  const sound = await startUpstream(t, (_request, response) => response.end('sound'));
  const health = RouteHealth.parse({ passive: { failures: 1, coolDownMs: 3_600_000 } });
  const more = { health, balance: { policy: 'first' } as const };
  await configured.serve('shop', [host], [sick.url, sound.url], ['/'], more);
  const { addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t), workers: 3 });
  const get = () => fetchThrough({ port: addresses.https.port, host, root: configured.root });
  t.equal((await get()).status, 500);
  await presenceOf(configured, ({ report }) => report.upstreams?.unhealthy === 1, 'the edge to report it');
  // Each worker answers behind what it was told before.
  await fetch(`http://127.0.0.1:${addresses.admin.port}/metrics`);
  for (let i = 0; i < 16; i += 1) t.match(await get(), { status: 200, body: 'sound' });
  t.equal(requests, 1);
});
