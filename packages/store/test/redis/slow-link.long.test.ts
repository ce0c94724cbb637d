import { randomUUID } from 'node:crypto';
import { edgeKinds, heartbeatIntervalMs } from '@lockstep/contract';
import { type Change, createRedisStore } from '@lockstep/store';
import { startRedis, startTroubledWay, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { commitOf, putRoute, report } from '../conformance/records.ts';
import { followView } from '../conformance/view.ts';

const fiveMbit = 625_000;

t.test('over 5 Mbit/s an edge takes 20,000 routes, and stays live meanwhile', async (t) => {
  const server = await startRedis({ args: ['--appendonly', 'no'] });
  t.teardown(() => server.close());
  const way = await startTroubledWay(server.port);
  t.teardown(() => way.close());
  const prefix = `test-${randomUUID()}`;
  const [control, edge] = [server.url, way.url].map((url) => createRedisStore({ url, prefix }));
  t.teardown(() => Promise.all([control!.close(), edge!.close()]));
  await control!.open({ create: true, expectedEpoch: null });
  const chain = (i: number): Change => ({
    op: 'put',
    kind: 'certificate',
    id: `c${i}`,
    value: { chain: randomUUID().repeat(150) } as never,
  });
  const changes = [
    ...Array.from({ length: 20_000 }, (_, i) => putRoute(`r${i}`)),
    ...Array.from({ length: 4_000 }, (_, i) => chain(i)),
  ];
  for (let at = 0; at < changes.length; at += 150) {
    await control!.commit(commitOf(...changes.slice(at, at + 150)));
  }

  way.bytesPerSecond = fiveMbit;
  let reports = 0;
  let reporting: Promise<unknown> = Promise.resolve();
  const failures: unknown[] = [];
  const beat = () => {
    reporting = edge!
      .reportNode(report('edge-1'))
      .then(() => control!.listNodes())
      .then((nodes) => {
        reports += 1;
        if (nodes[0]?.live !== true) failures.push('not live');
      })
      .catch((error) => failures.push(error));
  };
  const heardOf = async () => {
    await edge!.reportNode(report('edge-1'));
    return (await control!.listNodes()).length === 1;
  };
  await waitFor(heardOf, { what: 'the edge to be heard of' });
  beat();
  const timer = setInterval(beat, heartbeatIntervalMs);
  t.teardown(() => clearInterval(timer));
  const view = followView(t, edge!.follow, null, { followed: edgeKinds });
  await view.until(() => view.seen.includes('current'));
  await view.reached(await control!.commit(commitOf(putRoute('last'))));
  clearInterval(timer);
  await reporting;
  t.equal(view.ids().length, changes.length + 1);
  t.same(view.troubles, []);
  t.equal(view.seen.filter((type) => type === 'snapshot').length, 1);
  t.same(failures, []);
  t.ok(reports >= 5, `${reports} reports went through`);
});
