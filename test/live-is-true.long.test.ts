import { randomUUID } from 'node:crypto';
import { cp, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Route, RouteRecord } from '@lockstep/contract';
import { createRedisStore } from '@lockstep/store';
import { fakeTimeEnv, freePort, startLockstep, startUpstream, testFolder, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t from 'tap';
import { type EdgeUnderTest, startFleet } from './fleet/start-fleet.ts';

// One fleet for all: what one test leaves behind, the next finds.
const dir = testFolder(t);
const redisDir = join(dir, 'redis');
await mkdir(redisDir);
const upstream = await startUpstream();
t.teardown(() => upstream.close());
const fleet = await startFleet(t, { dir, redisDir });
const [one, two] = fleet.edges as [EdgeUnderTest, EdgeUnderTest];
await fleet.post('first.example.com', upstream.url);
const ca = await fleet.internalRoot();

const route = async (id: string): Promise<Route> => (await fleet.call('GET', `/v1/routes/${id}`)).body;
const node = async (id: string) => (await fleet.call('GET', `/v1/nodes/${id}`)).body;
const fleetStatus = async () => (await fleet.call('GET', '/v1/fleet')).body;
const inStep = () => waitFor(async () => (await fleetStatus()).inStep, { what: 'the fleet to be in step' });
/** Whether the edge answers for the host; a refused handshake is no. */
const serves = async (edge: EdgeUnderTest, host: string) =>
  (await fleet.get(edge, host, ca).catch(() => null))?.status === 200;

async function workersOf({ process: { pid } }: EdgeUnderTest): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim().split(/\s+/).filter(Boolean).map(Number);
}

t.test('an edge whose worker hangs is not counted until it serves again', async (t) => {
  for (const pid of await workersOf(two)) process.kill(pid, 'SIGSTOP');
  const posting = fleet.post('hung.example.com', upstream.url);
  const { status, body } = await posting;
  t.match({ status, body }, { status: 201, body: { status: { state: 'live', nodes: { live: 2, of: 2 } } } });
  t.ok(await serves(one, 'hung.example.com'));
  t.ok(await serves(two, 'hung.example.com'), 'by a worker that took the place of the one that hung');
});

t.test('a record that edges cannot read is refused by name, and costs no other route', async (t) => {
  const store = createRedisStore({ url: fleet.redis.url, prefix: fleet.env.LOCKSTEP_STORE_PREFIX });
  t.teardown(() => store.close());
  await store.open({ create: false, expectedEpoch: null });
  const at = new Date().toISOString();
  const value = {
    hosts: ['odd.example.com'],
    paths: ['/'],
    mirror: 'https://example.net',
    createdAt: at,
    updatedAt: at,
  };
  await store.commit({
    id: randomUUID(),
    changes: [{ op: 'put', kind: 'route', id: 'odd', value: value as unknown as RouteRecord }],
  });
  t.equal((await fleet.post('after.example.com', upstream.url)).status, 201);
  t.match(await node('edge-1'), { refusals: [{ kind: 'route', id: 'odd', reason: /"mirror"/ }] });
  await two.process.signal('SIGKILL');
  await two.start();
  const { status, body } = await fleet.post('again.example.com', upstream.url);
  t.match({ status, body }, { status: 201, body: { status: { nodes: { live: 2, of: 2 } } } });
  for (const host of ['first.example.com', 'after.example.com', 'again.example.com'])
    for (const edge of fleet.edges) t.ok(await serves(edge, host), `${edge.node} serves ${host}`);
  await store.commit({ id: randomUUID(), changes: [{ op: 'delete', kind: 'route', id: 'odd' }] });
  await inStep();
});

t.test('a control plane whose clock is a year ahead replaces no certificate, and says why', async (t) => {
  const before = (await fleet.call('GET', '/v1/certificates/first.example.com')).body;
  const port = await freePort();
  const args = ['control-plane', '--listen', `127.0.0.1:${port}`, '--data-dir', join(dir, 'ahead')];
  const ahead = startLockstep(args, { env: { ...fleet.env, ...(await fakeTimeEnv('+400d')) } });
  t.teardown(() => ahead.signal('SIGTERM'));
  await ahead.seen(/"the control plane listens"|the control plane listens/);
  const at = `http://127.0.0.1:${port}`;
  const ready = await fetch(`${at}/readyz`);
  t.match(
    { status: ready.status, body: await ready.json() },
    {
      status: 503,
      body: { checks: [{}, {}, { name: 'clock', ok: false, detail: /400 days ahead of the store/ }] },
    },
  );
  const body = { id: 'by-ahead', hosts: ['by-ahead.example.com'], upstreams: [{ url: upstream.url }] };
  const answer = await fleet.call('POST', '/v1/routes', body, { prefer: 'wait=60' }, at);
  t.match(answer, { status: 201, body: { status: { state: 'live' } } }, 'the other control plane issues');
  const made = (await fleet.call('GET', '/v1/certificates/by-ahead.example.com')).body;
  t.ok(Date.parse(made.notBefore) < Date.now());
  const after = (await fleet.call('GET', '/v1/certificates/first.example.com', undefined, {}, at)).body;
  t.match(after, { serialNumber: before.serialNumber, state: 'live' });
  for (const edge of fleet.edges) t.ok(await serves(edge, 'by-ahead.example.com'));
});

t.test('a store that went back under running edges makes nothing live that they do not serve', async (t) => {
  await inStep();
  const copy = join(dir, 'copy');
  await fleet.redis.stop();
  await cp(redisDir, copy, { recursive: true });
  await fleet.redis.start();
  const lost = Array.from({ length: 8 }, (_, index) => `lost-${index}`);
  for (const id of lost) await fleet.putOnceStoreIsBack(id, `${id}.example.com`, upstream.url);
  const { revision: known } = await fleetStatus();

  await fleet.redis.stop();
  await rm(redisDir, { recursive: true });
  await cp(copy, redisDir, { recursive: true });
  await fleet.redis.start();
  const body = { hosts: ['back.example.com'], upstreams: [{ url: upstream.url }] };
  const put = await waitFor(
    async () => {
      const answer = await fleet.call('PUT', '/v1/routes/back', body, { prefer: 'wait=1' });
      return answer.status < 300 && answer;
    },
    { what: 'the store to be back' },
  );
  t.match(put, { status: 202, body: { status: { nodes: { live: 0, of: 2, behind: [{}, {}] } } } });
  // More than half of what they serve is gone: they hold back what the store says now.
  await waitFor(
    async () => (await route('back')).status.nodes.behind.every(({ reason }) => /holds back/.test(reason)),
    { what: 'both edges to hold the snapshot back' },
  );
  t.notMatch((await route('back')).status, { state: 'live' });
  const held = (await fleet.call('GET', '/v1/certificates')).body.items;
  t.notOk(
    held.some(({ state }: { state: string }) => state === 'live'),
    'nor is any certificate',
  );
  for (const edge of fleet.edges) t.ok(await serves(edge, 'lost-0.example.com'), `${edge.node} serves on`);
  for (const { node } of fleet.edges)
    t.equal((await fleet.call('POST', `/v1/nodes/${node}/confirm-snapshot`)).status, 202);
  await waitFor(async () => (await route('back')).status.state === 'live', { what: 'the confirmed edges' });
  for (const edge of fleet.edges) t.ok(await serves(edge, 'back.example.com'), edge.node);
  const { history } = await waitFor(
    async () => {
      const status = await fleetStatus();
      return status.history.wentBack.length > 0 && status;
    },
    { what: 'the history that went back to be told' },
  );
  const [went] = history.wentBack;
  t.match(went, { reason: 'went_back', from: Number, to: Number, commits: Number });
  t.ok(went.to >= known && went.from < known && went.commits >= lost.length, JSON.stringify(went));
  for (const id of lost) t.ok(went.records.includes(`route/${id}`), `${id} is named`);
  t.ok(put.body.revision > known, 'revisions go on above all that were known');
});

t.test('copies put back one after another, also of an epoch that was left, are gone on with', async (t) => {
  await inStep();
  const admin = new Redis(fleet.redis.url);
  t.teardown(() => admin.disconnect());
  const dumps = await Promise.all(
    (await admin.keys('*')).map(async (key) => [key, await admin.dumpBuffer(key)] as const),
  );
  const lies = async () => {
    const { items } = (await fleet.call('GET', '/v1/routes?limit=100')).body as { items: Route[] };
    const live = items.filter(({ status }) => status.state === 'live').flatMap(({ hosts }) => hosts);
    const served = live.flatMap((host) =>
      fleet.edges.map(async (edge) => (await serves(edge, host)) || host),
    );
    return (await Promise.all(served)).filter((host) => host !== true);
  };
  for (const round of ['one', 'two']) {
    await fleet.call('DELETE', '/v1/routes/back', undefined, { prefer: 'wait=60' });
    const { revision } = await fleetStatus();
    const all = admin.multi().flushall();
    for (const [key, dump] of dumps) all.restore(key, 0, dump);
    await all.exec();
    t.same(await lies(), [], 'nothing is live that an edge does not serve');
    const put = await fleet.putOnceStoreIsBack(round, `${round}.example.com`, upstream.url);
    t.match(put.body.status, { state: 'live', nodes: { live: 2, of: 2 } });
    t.ok(put.body.revision > revision, 'revisions go on above all that were known');
    for (const edge of fleet.edges)
      for (const host of ['back', round]) t.ok(await serves(edge, `${host}.example.com`), edge.node);
    await inStep();
  }
  await waitFor(async () => (await fleetStatus()).history.wentBack.length === 3, { what: 'each to be told' });
  t.match((await fleetStatus()).history.wentBack, [{ commits: null }, {}, {}]);
  t.match(await (await fetch(`${fleet.url}/readyz`)).json(), {
    checks: [{}, { detail: '2 live, 2 expected' }],
  });
});

t.test('an edge that is gone is named, and expected until it is removed', async (t) => {
  await inStep();
  await two.process.signal('SIGKILL');
  const posted = await fleet.post('without.example.com', upstream.url);
  const nodes = { live: 1, of: 1, expected: 2, lost: ['edge-2'], behind: [{ node: 'edge-2' }] };
  t.match(posted, { status: 201, body: { status: { state: 'live', nodes } } });
  const { id } = posted.body;

  await fleet.call('PATCH', '/v1/settings', { liveNeeds: 'expected' });
  await waitFor(async () => (await route(id)).status.state === 'deploying', { what: 'the setting to count' });
  await two.start();
  await waitFor(async () => (await route(id)).status.state === 'live', { what: 'edge-2 to catch up' });
  t.ok(await serves(two, 'without.example.com'));

  await two.process.signal('SIGTERM');
  t.match(
    (await route(id)).status,
    { state: 'live', nodes: { of: 1, expected: 1, lost: [] } },
    'one that left is not expected',
  );
});
