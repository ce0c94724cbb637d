import { startRedis, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t from 'tap';
import { redis } from '../conformance/backend.ts';
import { conformance } from '../conformance/conformance.ts';

t.test('the Redis store in Cluster mode', async (t) => {
  const server = await startRedis({
    args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'],
  });
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());
  await admin.cluster('ADDSLOTSRANGE', 0, 16_383);
  await waitFor(async () => String(await admin.cluster('INFO')).includes('cluster_state:ok'), {
    what: 'the cluster',
  });
  await conformance(
    t,
    redis('cluster', () => `redis+cluster://127.0.0.1:${server.port}`),
  );
});
