import { readFile } from 'node:fs/promises';
import { startUpstream, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { httpsRequest } from './fleet/https-client.ts';
import { startFleet } from './fleet/start-fleet.ts';

t.test('a dead control plane costs no request, and finds everything again', async (t) => {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const fleet = await startFleet(t, { dir: testFolder(t) });
  t.equal((await fleet.post('one.example.com', upstream.url)).status, 201);
  const ca = await fleet.internalRoot();
  await fleet.controlPlane.process.signal('SIGKILL');
  for (const edge of fleet.edges) t.equal((await fleet.get(edge, 'one.example.com', ca)).status, 200);
  await fleet.controlPlane.start();
  t.equal((await fleet.call('GET', '/v1/routes')).body.items.length, 1);
  const second = await fleet.post('two.example.com', upstream.url);
  t.match(second, { status: 201, body: { status: { state: 'live', nodes: { live: 2, of: 2 } } } });
  for (const edge of fleet.edges) t.equal((await fleet.get(edge, 'two.example.com', ca)).status, 200);
});

t.test('a killed worker is replaced, and serves what the old one did', async (t) => {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const fleet = await startFleet(t, { dir: testFolder(t), edges: 1 });
  await fleet.post('one.example.com', upstream.url);
  const ca = await fleet.internalRoot();
  const [edge] = fleet.edges;
  if (edge === undefined) throw new Error('no edge');
  const before = await childrenOf(edge.process.pid);
  t.equal(before.length, 1, 'one worker');
  for (const pid of before) process.kill(pid, 'SIGKILL');
  await waitFor(async () => (await childrenOf(edge.process.pid)).some((pid) => !before.includes(pid)), {
    what: 'a new worker',
  });
  const answer = await waitFor(() => fleet.get(edge, 'one.example.com', ca), {
    what: 'the new worker to serve',
  });
  t.equal(answer.status, 200);
  t.equal((await fleet.post('two.example.com', upstream.url)).status, 201, 'and follows on');
});

t.test('an edge killed while Redis is stopped starts from its disk', async (t) => {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const fleet = await startFleet(t, { dir: testFolder(t) });
  await fleet.post('one.example.com', upstream.url);
  const ca = await fleet.internalRoot();
  await fleet.redis.stop();
  const [edge] = fleet.edges;
  if (edge === undefined) throw new Error('no edge');
  await edge.process.signal('SIGKILL');
  await edge.start();
  t.equal((await fleet.get(edge, 'one.example.com', ca)).status, 200);
  await fleet.redis.start();
  const second = await fleet.putOnceStoreIsBack('two', 'two.example.com', upstream.url);
  t.match(second, { body: { status: { nodes: { live: 2, of: 2 } } } });
});

t.test('Redis gone under load costs no request, and afterwards the edges catch up', async (t) => {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const fleet = await startFleet(t, { dir: testFolder(t) });
  await fleet.post('one.example.com', upstream.url);
  const ca = await fleet.internalRoot();
  let answered = 0;
  const failures: unknown[] = [];
  let loading = true;
  const load = fleet.edges.map(async ({ https: port }) => {
    while (loading) {
      try {
        const { status } = await httpsRequest({ port, host: 'one.example.com', ca });
        if (status === 200) answered += 1;
        else failures.push(status);
      } catch (error) {
        failures.push(error);
      }
    }
  });
  const passed = (count: number) =>
    waitFor(() => answered >= count, { what: `${count} answers`, progress: () => answered });
  await passed(100);
  await fleet.redis.kill();
  await passed(answered + 300);
  await fleet.redis.start();
  await passed(answered + 100);
  loading = false;
  await Promise.all(load);
  t.same(failures, []);
  const second = await fleet.putOnceStoreIsBack('two', 'two.example.com', upstream.url);
  t.match(second, { body: { status: { nodes: { live: 2, of: 2 } } } });
});

t.test(
  'a wiped Redis costs no request, and the control plane does not begin a new history over it',
  async (t) => {
    const upstream = await startUpstream();
    t.teardown(() => upstream.close());
    const fleet = await startFleet(t, { dir: testFolder(t) });
    await fleet.post('one.example.com', upstream.url);
    const ca = await fleet.internalRoot();
    await fleet.wipeStore();
    for (const edge of fleet.edges) t.equal((await fleet.get(edge, 'one.example.com', ca)).status, 200);
    t.match(
      await fleet.call('POST', '/v1/routes', {
        hosts: ['two.example.com'],
        upstreams: [{ url: upstream.url }],
      }),
      {
        status: 503,
        body: { code: 'store_lost' },
      },
    );
    await fleet.controlPlane.process.signal('SIGTERM');
    await t.rejects(fleet.controlPlane.start(), /restore the store from a backup/);
    for (const edge of fleet.edges) t.equal((await fleet.get(edge, 'one.example.com', ca)).status, 200);
  },
);

async function childrenOf(pid: number): Promise<number[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return listed.trim().split(/\s+/).filter(Boolean).map(Number);
}
