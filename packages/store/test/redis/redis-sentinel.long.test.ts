import { randomUUID } from 'node:crypto';
import { createRedisStore } from '@lockstep/store';
import { startRedis, startSentinels, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { commitOf, putRoute, report } from '../conformance/records.ts';
import { surely } from '../conformance/surely.ts';
import { contentOf, followView } from '../conformance/view.ts';

const patience = { timeoutMs: 60_000 };

const syncAtOnce = ['--repl-diskless-sync-delay', '0'];

t.test('three Sentinels, a primary and two replicas', async (t) => {
  const servers = [await startRedis({ args: syncAtOnce })];
  t.teardown(() => Promise.all(servers.map((server) => server.close())));
  for (let i = 0; i < 2; i++) {
    servers.push(
      await startRedis({ args: [...syncAtOnce, '--replicaof', '127.0.0.1', String(servers[0]!.port)] }),
    );
  }
  const admins = servers.map(({ url }) => new Redis(url));
  t.teardown(() => admins.map((admin) => admin.disconnect()));
  for (const admin of admins) admin.on('error', () => {});
  const sentinels = await startSentinels('main', servers[0]!.port);
  t.teardown(() => sentinels.close());
  const url = `redis+sentinel://${sentinels.ports.map((port) => `127.0.0.1:${port}`).join(',')}/main`;
  const asked = new Redis({ port: sentinels.ports[0]! });
  t.teardown(() => asked.disconnect());
  const replicasKnown = (count: number) =>
    waitFor(
      async () => {
        const flags = ((await asked.call('SENTINEL', 'REPLICAS', 'main')) as string[][]).map(
          (fields) => fields[fields.indexOf('flags') + 1],
        );
        return flags.filter((flag) => flag === 'slave').length >= count;
      },
      { what: 'the Sentinels to know the replicas', ...patience },
    );
  const primary = async () => {
    const [, port] = (await asked.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main')) as string[];
    return servers.findIndex((server) => server.port === Number(port));
  };
  const primaryOfTwoReplicas = async () => {
    let current = -1;
    await waitFor(
      async () => {
        current = await primary();
        return (await admins[current]!.wait(2, 500)) === 2;
      },
      { what: 'both replicas', ...patience },
    );
    return current;
  };

  const prefix = `test-${randomUUID()}`;
  const connect = (t: Test) => {
    const store = createRedisStore({ url, prefix });
    t.teardown(() => store.close());
    return store;
  };
  const [one, other, edge] = [connect(t), connect(t), connect(t)];
  await one.open({ create: true, expectedEpoch: null });
  await other.open({ create: false, expectedEpoch: null });
  const view = followView(t, edge.follow, null);
  await view.reached(await one.commit(commitOf(putRoute('first'))));

  await t.test('a fail-over loses nothing that replicas had to have', async (t) => {
    await replicasKnown(2);
    one.requireReplicas({ replicas: 1, timeoutMs: 5_000 });
    const failed = await primary();
    for (let i = 0; i < 40; i++) {
      if (i === 20) await servers[failed]!.kill();
      await surely(one, commitOf(putRoute(`r${i}`)));
    }
    t.not(await primary(), failed);
    const ids = (await one.list('route', { limit: 100 })).items.map(({ id }) => id);
    t.equal(ids.length, 41);
    t.same(await one.listTurns(), []);
    await view.reached(await one.head());
    t.same(view.records, await contentOf(one));
    await waitFor(() => edge.reportNode(report('edge-1')).then(() => true), {
      what: 'a report',
      ...patience,
    });
    await servers[failed]!.start();
    await replicasKnown(2);
  });

  await t.test(
    'a fail-over that loses commits is told of, and none of them passes for applied',
    async (t) => {
      one.requireReplicas({ replicas: 0, timeoutMs: 0 });
      const kept = await one.head();
      const failed = await primaryOfTwoReplicas();
      const replicas = servers.filter((_, index) => index !== failed);
      for (const { pid } of replicas) process.kill(pid, 'SIGSTOP');
      // What was sent to them already would still reach them.
      await admins[failed]!.call('CLIENT', 'KILL', 'TYPE', 'replica');
      let last = kept;
      for (let i = 0; i < 5; i++) last = await surely(one, commitOf(putRoute(`lost${i}`)));
      await view.reached(last);
      await edge.reportNode(report('edge-1', { applied: last }));
      await servers[failed]!.kill();
      for (const { pid } of replicas) process.kill(pid, 'SIGCONT');

      const made = await surely(one, commitOf(putRoute('after')));
      t.not(made.epoch, kept.epoch);
      t.match(await one.listTurns(), [{ reason: 'went_back', kept, lost: last, epoch: made.epoch }]);
      t.match(await surely(other, commitOf(putRoute('others'))), { epoch: made.epoch });
      await view.reached(await one.head());
      t.notOk(view.ids().some((id) => id.startsWith('route/lost')));
      t.same(view.records, await contentOf(one));
      const listed = await waitFor(
        async () => {
          await edge.reportNode(report('edge-1', { applied: last }));
          const nodes = await one.listNodes();
          return nodes.length === 1 && nodes;
        },
        { what: 'the edge to be heard of', ...patience },
      );
      t.match(listed, [{ standing: 'apart' }]);
    },
  );
});
