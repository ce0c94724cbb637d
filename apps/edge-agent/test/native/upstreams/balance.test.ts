import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { RouteRecord, Upstream } from '@lockstep/contract';
import t, { type Test } from 'tap';
import { type FetchOptions, fetchThrough, fetchThroughH2, openThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const edge = await startWorker(t);

type Held = ServerResponse | Http2ServerResponse;

/** Upstreams that answer with their names, `a` first; to `/held` when they are told to. */
async function startNamed(t: Test, names: string) {
  const held: Held[] = [];
  const urls: string[] = [];
  for (const name of names) {
    const { url } = await startUpstream(t, (request, response) => {
      if (request.url === '/held') {
        held.push(response.writeHead(200, { 'x-name': name }));
        response.flushHeaders();
      } else response.end(name);
    });
    urls.push(url);
  }
  return { urls, held };
}

async function serve(upstreams: Upstream[], more: Partial<RouteRecord> = {}) {
  await edge.applied(await edge.serve('shop', [host], [], ['/'], { upstreams, ...more }));
}

const get = (more: Partial<FetchOptions> = {}) =>
  fetchThrough({ port: edge.httpsPort, host, root: edge.root, ...more });

async function counted(times: number, more: Partial<FetchOptions> = {}): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < times; i += 1) {
    const { body } = await get(more);
    counts[body] = (counts[body] ?? 0) + 1;
  }
  return counts;
}

t.test('weights share the requests out, evenly spread', async (t) => {
  const { urls } = await startNamed(t, 'abc');
  const [a, b, c] = urls as [string, string, string];
  await serve([{ url: a, weight: 3 }, { url: b }, { url: c, weight: 0 }]);
  t.same(await counted(16), { a: 12, b: 4 });
  await serve([
    { url: a, weight: 3 },
    { url: b, weight: 5 },
  ]);
  t.same(await counted(16), { a: 6, b: 10 }, 'also those of a change');
});

t.test('a backup gets requests when no other can be reached', async (t) => {
  const { urls } = await startNamed(t, 'ab');
  const [a, b] = urls as [string, string];
  await serve([{ url: b, backup: true }, { url: a }]);
  t.same(await counted(5), { a: 5 });
  await serve([{ url: b, backup: true }, { url: 'http://127.0.0.1:1' }]);
  t.same(await counted(5), { b: 5 });
});

t.test('first is the first that can be reached', async (t) => {
  const { urls } = await startNamed(t, 'ab');
  await serve([{ url: 'http://127.0.0.1:1' }, ...urls.map((url) => ({ url }))], {
    balance: { policy: 'first' },
  });
  t.same(await counted(5), { a: 5 });
});

t.test('those with the fewest requests under way are taken', async (t) => {
  for (const policy of ['least_requests', 'random_two'] as const) {
    const { urls, held } = await startNamed(t, 'ab');
    await serve(
      urls.map((url) => ({ url })),
      { balance: { policy } },
    );
    const long = await openThrough({ port: edge.httpsPort, host, root: edge.root, path: '/held' });
    const busy = String(long.headers['x-name']);
    const other = busy === 'a' ? 'b' : 'a';
    t.same(await counted(6), { [other]: 6 }, policy);
    await serve([{ url: urls[0]!, weight: 2 }, { url: urls[1]! }], { balance: { policy } });
    await serve(
      urls.map((url) => ({ url })),
      { balance: { policy } },
    );
    t.same(await counted(6), { [other]: 6 }, `${policy}: what is under way counts after a change too`);
    for (const one of held) one.end();
    long.resume();
    await new Promise((resolve) => long.once('end', resolve));
    t.equal(Object.keys(await counted(20)).length, 2, policy);
  }
});

t.test(
  'by hash, what is the same goes the same way, and only the share of one taken out moves',
  async (t) => {
    const { urls } = await startNamed(t, 'abc');
    const upstreams = urls.map((url) => ({ url }));
    const users = Array.from({ length: 30 }, (_, i) => `user-${i}`);
    for (const [hash, headersOf] of [
      [{ by: 'header', name: 'X-User' }, (user: string) => ({ 'x-user': user })],
      [{ by: 'cookie', name: 'user' }, (user: string) => ({ cookie: `other=1; user=${user}` })],
    ] as const) {
      const balance = { policy: 'hash', hash } as const;
      await serve(upstreams, { balance });
      const wayOf = async () => {
        const way = new Map<string, string>();
        for (const user of users) way.set(user, (await get({ headers: headersOf(user) })).body);
        return way;
      };
      const first = await wayOf();
      t.equal(new Set(first.values()).size, 3, hash.by);
      t.same(await wayOf(), first);
      await serve(upstreams.slice(0, 2), { balance });
      for (const [user, way] of await wayOf()) if (first.get(user) !== 'c') t.equal(way, first.get(user));
      await serve(upstreams, { balance });
      t.equal(Object.keys(await counted(6)).length, 3, 'without one, in turn');
    }
    await serve(upstreams, { balance: { policy: 'hash', hash: { by: 'client_address' } } });
    t.equal(Object.keys(await counted(6)).length, 1);
  },
);

t.test('a client sticks to its upstream by a cookie that tells nothing of it', async (t) => {
  const { urls } = await startNamed(t, 'abc');
  const [a, b, c] = urls as [string, string, string];
  const upstreams = [{ url: a }, { url: b }, { url: c }];
  const balance = { policy: 'round_robin', sticky: { cookie: 'to', maxAge: 3600 } } as const;
  await serve(upstreams, { balance });
  for (const fetch of [fetchThrough, fetchThroughH2]) {
    const at = { port: edge.httpsPort, host, root: edge.root };
    const first = await fetch(at);
    const [given] = [first.headers['set-cookie']].flat();
    t.match(given, /^to=[\w-]{16}; Path=\/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax$/);
    const cookie = given!.split(';')[0]!;
    const again = await fetch({ ...at, headers: { cookie } });
    t.match([again.body, again.headers['set-cookie']], [first.body, undefined]);
    t.same(await counted(5, { headers: { cookie: `a=b; ${cookie}` } }), { [first.body]: 5 });
    const place = 'abc'.indexOf(first.body);
    await serve(upstreams.with(place, { url: urls[place]!, weight: 0 } as never), { balance });
    t.same(
      await counted(3, { headers: { cookie } }),
      { [first.body]: 3 },
      'also to one that takes no others',
    );
    await serve(
      upstreams.filter((_, i) => i !== place),
      { balance },
    );
    const moved = await fetch({ ...at, headers: { cookie } });
    t.not(moved.body, first.body);
    t.not([moved.headers['set-cookie']].flat()[0]?.split(';')[0], cookie);
    await serve(upstreams, { balance });
  }
  await serve(upstreams, { balance: { policy: 'first', sticky: { cookie: 'to' } } });
  t.match(
    (await get({ headers: { cookie: 'to=nonsense' } })).headers['set-cookie']?.[0],
    /^to=[\w-]{16}; Path=\/; Secure;/,
  );
});

t.test('a policy of a later revision is refused by the name of the route', async (t) => {
  const { urls } = await startNamed(t, 'a');
  await serve([{ url: urls[0]! }], { balance: { policy: 'by_moon' as never } });
  t.match(edge.status().refusals, [{ kind: 'route', id: 'shop', reason: /by_moon/ }]);
});
