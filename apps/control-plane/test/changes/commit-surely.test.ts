import { randomUUID } from 'node:crypto';
import { createRedisStore } from '@lockstep/store';
import { startCuttingProxy, startRedis } from '@lockstep/testkit';
import t from 'tap';
import { createOrderQueue } from '../../src/orders/order-queue.ts';
import { createRouteService } from '../../src/routes/route-service.ts';

t.test('a route whose commit lost its answer is made once, and its caller is told so', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.close());
  let cutting = false;

  let left = 1;
  const proxy = await startCuttingProxy(redis.port, () => cutting && left-- > 0);
  t.teardown(() => proxy.close());
  const store = createRedisStore({ url: proxy.url, prefix: `test-${randomUUID()}` });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });

  // The reads of `create` go through; from the commit on, the first answer is cut.
  const observed = {
    ...store,
    commit: (commit: Parameters<typeof store.commit>[0]) => {
      cutting = true;
      return store.commit(commit);
    },
  };
  const service = createRouteService({
    store: observed,
    queue: createOrderQueue({ store }),
    check: async () => [],
  });
  const body = { hosts: ['shop.example.com'], paths: ['/'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
  const id = await service.create(body);
  t.equal(proxy.cuts, 1);
  t.match(await store.get('route', id), { value: { hosts: ['shop.example.com'] } });
  t.equal((await store.head()).number, 1, 'one commit');
});
