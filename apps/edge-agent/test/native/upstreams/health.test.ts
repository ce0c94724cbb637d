import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RouteHealth, RouteRecord } from '@lockstep/contract';
import { RouteHealth as HealthField } from '@lockstep/contract/schemas';
import { waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { type FetchOptions, fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { type ServingWorker, startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const edge = await startWorker(t);

type Behaviour = 'well' | 'down' | 'hangs' | 'resets' | 'breaks' | 'lies' | '500';

/** An upstream that is as it is told to be, to checks and to requests. */
async function startMoody(t: Test, name: string, mood: Behaviour = 'well') {
  const seen = { requests: 0, checks: 0 };
  const moody = { mood, url: '', seen };
  const { url, server } = await startUpstream(t, (request, response) => {
    const check = request.url === '/health';
    seen[check ? 'checks' : 'requests'] += 1;
    behave(moody.mood, name, request, response);
  });
  server.on('connection', (socket: Socket) => {
    if (moody.mood === 'down') socket.resetAndDestroy();
  });
  return Object.assign(moody, { url });
}

function behave(mood: Behaviour, name: string, { socket }: IncomingMessage, response: ServerResponse): void {
  if (mood === 'well') response.end(name);
  else if (mood === '500') response.writeHead(500).end();
  else if (mood === 'resets') (socket as Socket).resetAndDestroy();
  else if (mood === 'breaks') {
    response.writeHead(200, { 'content-length': 1_000_000 }).write('half');
    setImmediate(() => (socket as Socket).resetAndDestroy());
  } else if (mood === 'lies') {
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort');
  }
}

const quick = { path: '/health', intervalMs: 100, timeoutMs: 100, healthyAfter: 1, unhealthyAfter: 1 };
const healthOf = (given: Parameters<typeof HealthField.parse>[0]): RouteHealth => HealthField.parse(given);

async function serve(upstreams: { url: string }[], more: Partial<RouteRecord>, worker: ServingWorker = edge) {
  await worker.applied(
    await worker.serve(
      'shop',
      [host],
      upstreams.map(({ url }) => url),
      ['/'],
      more,
    ),
  );
}

const get = (more: Partial<FetchOptions> = {}) =>
  fetchThrough({ port: edge.httpsPort, host, root: edge.root, ...more });
const isUnhealthy =
  ({ url }: { url: string }) =>
  (state: { url: string; state: string }) =>
    state.url === url && state.state === 'unhealthy';
const isHealthy =
  ({ url }: { url: string }) =>
  (state: { url: string; state: string }) =>
    state.url === url && state.state === 'healthy';

t.test('an upstream that its checks find dead gets no request, and its share when it is back', async (t) => {
  for (const mood of ['down', 'hangs', 'resets', 'breaks', 'lies', '500'] as const) {
    const sick = await startMoody(t, 'sick', mood);
    const sound = await startMoody(t, 'sound');
    await serve([sick, sound], { health: healthOf({ active: quick }) });
    await edge.found(isUnhealthy(sick));
    await edge.found(isHealthy(sound));
    const before = sick.seen.requests;
    for (let i = 0; i < 6; i += 1) t.match(await get(), { status: 200, body: 'sound' }, mood);
    t.equal(sick.seen.requests, before, `${mood}: none to one known dead`);
    sick.mood = 'well';
    await edge.found(isHealthy(sick));
    const bodies = new Set<string>();
    await waitFor(async () => bodies.add((await get()).body).size === 2, { what: 'both to answer' });
  }
  t.match(
    edge.upstreams().find(({ url }) => url === 'x'),
    undefined,
  );
});

t.test('where none is healthy all are tried, or none if the route says so', async (t) => {
  const [a, b] = [await startMoody(t, 'a', '500'), await startMoody(t, 'b', '500')];
  await serve([a, b], { health: healthOf({ active: quick }) });
  await edge.found(isUnhealthy(a));
  await edge.found(isUnhealthy(b));
  t.equal((await get()).status, 500);
  t.equal((await get()).status, 500);
  t.same([a.seen.requests, b.seen.requests], [1, 1]);
  await serve([a, b], { health: healthOf({ active: quick, noneHealthy: 'refuse' }) });
  const refused = await get();
  t.match(refused, { status: 503, headers: { 'retry-after': '1' }, body: /upstream_unhealthy/ });
  t.same([a.seen.requests, b.seen.requests], [1, 1]);
  t.equal(edge.worker.figures().failures.upstream_unhealthy, 1);
});

t.test('a check is what the route says: path, method, host, status, text', async (t) => {
  const seen: (string | undefined)[][] = [];
  const picky = await startUpstream(t, ({ url, method, headers }, response) => {
    if (url === '/up?deep=1') seen.push([method, headers.host, headers.connection]);
    response.writeHead(url === '/up?deep=1' ? 418 : 200).end('the tea is ready');
  });
  const check = { ...quick, path: '/up?deep=1', method: 'OPTIONS', host: 'tea.example.com' } as const;
  for (const [expected, state] of [
    [{ expectStatus: 418, expectBody: 'tea is' }, 'healthy'],
    [{ expectStatus: '4xx' }, 'healthy'],
    [{ expectStatus: ['2xx', '400-420'] }, 'healthy'],
    [{}, 'unhealthy'],
    [{ expectStatus: 418, expectBody: 'coffee' }, 'unhealthy'],
  ] as const) {
    await serve([picky], { health: healthOf({ active: { ...check, ...expected } as never }) });
    await edge.found((one) => one.url === picky.url && one.state === state);
  }
  t.same(new Set(seen.map(String)), new Set(['OPTIONS,tea.example.com,close']));
});

t.test(
  'requests that fail take an upstream out of turn for a while, and one alone tries it again',
  async (t) => {
    for (const mood of ['resets', 'breaks', 'lies', '500'] as const) {
      const sick = await startMoody(t, 'sick', mood);
      const sound = await startMoody(t, 'sound');
      const passive = { failures: 2, withinMs: 60_000, coolDownMs: 300 };
      await serve([sick, sound], { health: healthOf({ passive }) });
      await waitFor(
        async () => {
          await get().catch(() => {});
          return edge.upstreams().some(isUnhealthy(sick));
        },
        { what: 'it to rest' },
      );
      t.equal(sick.seen.requests, 2, mood);
      for (let i = 0; i < 4; i += 1) t.match(await get(), { status: 200, body: 'sound' }, mood);
      t.equal(sick.seen.requests, 2, `${mood}: none while it rests`);
      await waitFor(
        async () => {
          await Promise.all([1, 2, 3, 4].map(() => get().catch(() => {})));
          return sick.seen.requests === 3;
        },
        { what: 'it to be tried again' },
      );
      t.ok(edge.upstreams().some(isUnhealthy(sick)), `${mood}: one failure is enough now`);
      sick.mood = 'well';
      await waitFor(async () => (await get()).body === 'sick', { what: 'it to be back' });
    }
  },
);

t.test('its failures of long ago do not count, nor do 501 and 505', async (t) => {
  const odd = await startUpstream(t, ({ url }, response) => response.writeHead(Number(url!.slice(1))).end());
  const passive = { failures: 2, withinMs: 100, coolDownMs: 60_000 };
  await serve([odd], { health: healthOf({ passive }) });
  for (const path of ['/501', '/505', '/501', '/404', '/404']) await get({ path });
  t.notOk(edge.upstreams().some(isUnhealthy(odd)));
  await get({ path: '/500' });
  await new Promise((resolve) => setTimeout(resolve, 150));
  await get({ path: '/500' });
  t.notOk(edge.upstreams().some(isUnhealthy(odd)));
});

t.test('a change that does not concern it leaves what is known of an upstream as it is', async (t) => {
  const sick = await startMoody(t, 'sick', '500');
  const sound = await startMoody(t, 'sound');
  const third = await startMoody(t, 'third');
  const health = healthOf({ active: { ...quick, intervalMs: 600_000 } });
  await serve([sick, sound], { health });
  await edge.found(isUnhealthy(sick));
  const { checks } = sick.seen;
  await serve([sick, sound, third], { health, balance: { policy: 'least_requests' } });
  for (let i = 0; i < 8; i += 1) await get();
  t.equal(sick.seen.requests, 0);
  t.equal(sick.seen.checks, checks, 'nor is it checked anew');
  const slower = healthOf({ active: { ...quick, intervalMs: 700_000, unhealthyAfter: 5 } });
  await serve([sick, sound, third], { health: slower });
  for (let i = 0; i < 8; i += 1) await get();
  t.equal(sick.seen.requests, 0, 'not even one to its checks');
});

t.test('routes that ask the same of the same upstream share its checks', async (t) => {
  const shared = await startMoody(t, 'shared');
  const health = healthOf({ active: { ...quick, intervalMs: 600_000 } });
  for (const id of ['a', 'b', 'c']) {
    await edge.applied(await edge.serve(id, [`${id}.example.com`], [shared.url], ['/'], { health }));
  }
  await edge.found(isHealthy(shared));
  t.equal(edge.upstreams().filter(({ url }) => url === shared.url).length, 1);
  t.equal(shared.seen.checks, 1);
});

t.test('one that is well again gets a growing share', async (t) => {
  const [back, other] = [await startMoody(t, 'back', '500'), await startMoody(t, 'other')];
  await serve([back, other], { health: healthOf({ active: quick, slowStartMs: 3_600_000 }) });
  await edge.found(isUnhealthy(back));
  back.mood = 'well';
  await edge.found(isHealthy(back));
  for (let i = 0; i < 60; i += 1) await get();
  t.ok(back.seen.requests > 0 && back.seen.requests < 10, `${back.seen.requests} of 60`);
});

t.test('a request that waits for a connection to one that dies goes elsewhere', async (t) => {
  const [sick, sound] = [await startMoody(t, 'sick'), await startMoody(t, 'sound')];
  const limits = { connections: 1, pending: 10, pendingMs: 60_000 };
  const more = { limits, balance: { policy: 'first' } as const, health: healthOf({ active: quick }) };
  await serve([sick, sound], more);
  await edge.found(isHealthy(sick));
  sick.mood = 'hangs';
  const stuck = [get(), get(), get()];
  const answers = Promise.any(stuck);
  t.match(await answers, { status: 200, body: 'sound' });
  sick.mood = 'well';
  await edge.found(isHealthy(sick));
  await serve([sound], {});
  for (const one of stuck) one.catch(() => {});
});

t.test('an upstream that ends the connection of an upload it does not want is no worse for it', async (t) => {
  const { url, server } = await startUpstream(t, (request, response) => {
    if (request.method === 'GET') response.end('well');
    else request.socket.destroy();
  });
  server.on('connection', (socket) => socket.on('error', () => {}));
  const health = healthOf({ passive: { failures: 2 }, noneHealthy: 'refuse' });
  await serve([{ url }], { health });
  const body = 'x'.repeat(8_000_000);
  for (let i = 0; i < 3; i += 1) t.equal((await get({ method: 'POST', body })).status, 502);
  t.equal((await get()).body, 'well');
});
