import { startRedis } from '@lockstep/testkit';
import t from 'tap';
import { redisOn } from '../conformance/backend.ts';
import { conformance } from '../conformance/conformance.ts';

t.test('the Redis store', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  await conformance(t, redisOn(server));
});
