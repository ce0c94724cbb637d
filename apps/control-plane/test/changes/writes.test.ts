import { randomUUID } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import { createRedisStore, createSqliteStore } from '@lockstep/store';
import { startCuttingProxy, startRedis } from '@lockstep/testkit';
import t from 'tap';

import { inTurn, writeInTurn } from '../../src/changes/writes.ts';
import { createOrderQueue } from '../../src/orders/order-queue.ts';
import { createRouteService } from '../../src/routes/route-service.ts';
import { byAdmin } from '../by-admin.ts';

const store = { commit: async () => ({ epoch: '', number: 0, commitId: '' }) };
const conflict = () => new AppError('revision_conflict', 'it changed', { facts: { kind: 'route', id: 'a' } });

t.test('writers of one record come one after another, those of others meanwhile', async (t) => {
  const events: string[] = [];
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = writeInTurn(store, ['route/a', 'order/x'], async () => {
    events.push('first');
    await held;
  });
  const second = writeInTurn(store, ['order/x'], async () => void events.push('second'));
  await writeInTurn(store, ['route/b'], async () => void events.push('other'));
  t.same(events, ['first', 'other']);
  release();
  await Promise.all([first, second]);
  t.same(events, ['first', 'other', 'second']);
});

t.test('a writer that fails lets the next one go on', async (t) => {
  const failing = inTurn(store, ['a'], async () => {
    throw new Error('no');
  });
  const next = inTurn(store, ['a'], async () => 'next');
  await t.rejects(failing, { message: 'no' });
  t.equal(await next, 'next');
});

t.test(
  'the pauses after a conflict are random and grow, and end in words and not in a conflict',
  async (t) => {
    const waits: number[] = [];
    let tries = 0;
    const attempt = async () => {
      tries += 1;
      throw conflict();
    };
    const wait = async (ms: number) => void waits.push(ms);
    await t.rejects(writeInTurn(store, ['a'], attempt, { wait }), {
      code: 'overloaded',
      message: 'others write route/a all the time; try again',
    });
    t.equal(tries, 100);
    t.ok(new Set(waits).size > 90);
    t.ok(waits.every((ms) => ms <= 200));
    t.ok(Math.max(...waits.slice(0, 3)) <= 8 && Math.max(...waits) > 50);
  },
);

t.test('sixty routes of one host and two hundred patches of one route at once all succeed', async (t) => {
  const real = createSqliteStore({ path: ':memory:' });
  t.teardown(() => real.close());
  await real.open({ create: true, expectedEpoch: null });
  let conflicts = 0;
  const counting: typeof real = Object.assign(Object.create(real), {
    commit: (commit: Parameters<typeof real.commit>[0]) =>
      real.commit(commit).catch((error: unknown) => {
        conflicts += 1;
        throw error;
      }),
  });
  const service = createRouteService({
    store: counting,
    queue: createOrderQueue({ store: real }),
    check: async () => [],
  });
  const upstreams = [{ url: 'http://127.0.0.1:3000' }];
  const route = (index: number) => ({
    hosts: ['shop.example.com', `${index}.example.com`],
    paths: [`/${index}`],
    upstreams,
  });
  await Promise.all(
    Array.from({ length: 60 }, (_, index) => service.create(byAdmin, { id: `r${index}`, ...route(index) })),
  );
  t.equal(await real.count('route'), 60);
  await Promise.all(
    Array.from({ length: 200 }, (_, port) =>
      service.patch(byAdmin, 'r0', { upstreams: [{ url: `http://127.0.0.1:${port + 1}` }] }),
    ),
  );
  // Routes before hosts, whatever is written: nothing waits for ever for something that waits for it.
  await Promise.all([
    ...Array.from({ length: 30 }, (_, index) => service.remove(byAdmin, `r${index}`)),
    ...Array.from({ length: 30 }, (_, index) =>
      service.replace(byAdmin, `r${index + 30}`, route(index + 90)),
    ),
    ...Array.from({ length: 30 }, (_, index) =>
      service.replace(byAdmin, `r${index + 30}`, route(index + 120)),
    ),
    ...Array.from({ length: 30 }, (_, index) =>
      service.create(byAdmin, { id: `r${index + 200}`, ...route(index + 200) }),
    ),
  ]);
  t.equal(await real.count('route'), 60);
  t.equal(conflicts, 0, 'in one process nobody is beaten');
});

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
  const id = await service.create(byAdmin, body);
  t.equal(proxy.cuts, 1);
  t.match(await store.get('route', id), { value: { hosts: ['shop.example.com'] } });
  t.equal((await store.head()).number, 1, 'one commit');
});
