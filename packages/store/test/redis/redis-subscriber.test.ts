import { startRedis, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t from 'tap';
import { silentLog } from '../../src/interface/log.ts';
import { createRedisSubscriber } from '../../src/redis/redis-subscriber.ts';
import { parseStoreUrl } from '../../src/redis/store-url.ts';

t.test('listeners are told when the subscription stands, breaks, and stands again', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());
  const subscriber = createRedisSubscriber({
    target: parseStoreUrl(server.url),
    log: silentLog,
    head: async () => null,
    headOn: async () => null,
  });
  t.teardown(() => subscriber.close());
  const heard: (string | null)[] = [];
  let wake = () => {};
  const off = subscriber.on('a', (message) => {
    heard.push(message);
    wake();
  });
  const until = async (count: number) => {
    while (heard.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  await until(1);
  await admin.publish('a', 'one');
  await admin.publish('b', 'for another channel');
  await until(2);
  await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await until(4);
  await admin.publish('a', 'two');
  await until(5);
  t.same(heard, [null, 'one', null, null, 'two']);
  off();
});

t.test('who joins while the connection is being looked at is subscribed as well', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());
  const heard = Promise.withResolvers<void>();
  let looked = false;
  const subscriber = createRedisSubscriber({
    target: parseStoreUrl(server.url),
    log: silentLog,
    async head() {
      if (!looked) subscriber.on('late', (message) => message === 'one' && heard.resolve());
      looked = true;
      return null;
    },
    headOn: async () => null,
  });
  t.teardown(() => subscriber.close());
  subscriber.on('early', () => {});
  await waitFor(async () => (await admin.publish('late', 'one')) === 1, { what: 'a subscriber' });
  await heard.promise;
});
