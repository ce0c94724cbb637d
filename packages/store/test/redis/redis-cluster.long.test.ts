import { createRedisStore } from '@lockstep/store';
import { startRedis, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { redis } from '../conformance/backend.ts';
import { conformance } from '../conformance/conformance.ts';
import { commitOf, putRoute, report } from '../conformance/records.ts';
import { surely } from '../conformance/surely.ts';
import { contentOf, followView } from '../conformance/view.ts';

t.test('a Cluster of three, and a replica of each', async (t) => {
  const args = [
    '--cluster-enabled',
    'yes',
    '--cluster-announce-ip',
    '127.0.0.1',
    '--cluster-node-timeout',
    '1000',
  ];
  const servers = await Promise.all(Array.from({ length: 6 }, () => startRedis({ args })));
  t.teardown(() => Promise.all(servers.map((server) => server.close())));
  const admins = servers.map(({ url }) => new Redis(url));
  t.teardown(() => admins.map((admin) => admin.disconnect()));
  for (const admin of admins) admin.on('error', () => {});
  const slots = [0, 5_461, 10_923, 16_384];
  for (let i = 0; i < 3; i++) await admins[i]!.cluster('ADDSLOTSRANGE', slots[i]!, slots[i + 1]! - 1);
  for (const { port } of servers.slice(1)) await admins[0]!.cluster('MEET', '127.0.0.1', port);
  const ids = await Promise.all(admins.map((admin) => admin.cluster('MYID') as Promise<string>));
  for (let i = 3; i < 6; i++) {
    await waitFor(() => admins[i]!.cluster('REPLICATE', ids[i - 3]!), {
      what: 'a replica to know its primary',
    });
  }
  await waitFor(
    async () => {
      const states = await Promise.all(
        admins.map(async (admin) =>
          [await admin.cluster('INFO'), await admin.info('replication')].join('\n'),
        ),
      );
      return states.every(
        (state) => /cluster_state:ok/.test(state) && !/master_link_status:down/.test(state),
      );
    },
    { what: 'the cluster' },
  );
  const url = `redis+cluster://${servers
    .slice(0, 3)
    .map(({ port }) => `127.0.0.1:${port}`)
    .join(',')}`;

  await conformance(
    t,
    redis('cluster of three', () => url),
  );

  await t.test(
    'a fail-over of the server that holds the fleet loses nothing that a replica had to have',
    async (t) => {
      const prefix = 'fail-over';
      const connect = (t: Test) => {
        const store = createRedisStore({ url, prefix });
        t.teardown(() => store.close());
        return store;
      };
      const [one, edge] = [connect(t), connect(t)];
      await one.open({ create: true, expectedEpoch: null });
      one.requireReplicas({ replicas: 1, timeoutMs: 5_000 });
      const view = followView(t, edge.follow, null);
      await view.reached(await one.commit(commitOf(putRoute('first'))));
      const slot = Number(await admins[0]!.cluster('KEYSLOT', `{${prefix}}:meta`));
      const failed = slots.findIndex((from, index) => slot >= from && slot < slots[index + 1]!);
      for (let i = 0; i < 40; i++) {
        if (i === 20) {
          await servers[failed]!.kill();
          one.requireReplicas({ replicas: 0, timeoutMs: 0 }); // no second replica is left
        }
        await surely(one, commitOf(putRoute(`r${i}`)));
      }
      t.equal(await one.count('route'), 41);
      t.same(await one.listTurns(), []);
      await view.reached(await one.head());
      t.same(view.records, await contentOf(one));
      await waitFor(() => edge.reportNode(report('edge-1')).then(() => true), { what: 'a report' });
    },
  );
});
