import { type OrderRecord, orderLanes } from '@lockstep/contract';
import { type ConfigStore, createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { type ChangeHub, createChangeHub } from '../../src/changes/change-hub.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import { createCoordinator } from '../../src/issuance/coordinator.ts';
import { createOrderQueue, type EnterOptions, type OrderQueue } from '../../src/orders/order-queue.ts';
import { forgetFailures, newOrder, putOrder } from '../../src/orders/order-record.ts';
import { queuePositionOf } from '../../src/orders/queue-position.ts';
import { createRouteService } from '../../src/routes/route-service.ts';
import { byAdmin } from '../by-admin.ts';

const log = pino({ level: 'silent' });
const fleet = {
  view: () => ({ nodes: [{ connected: true }], issuesNothing: null }),
  watch: () => () => {},
} as unknown as Fleet;

async function start(test: Pick<typeof t, 'teardown'>) {
  const store = createSqliteStore({ path: ':memory:' });
  test.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const hub = await createChangeHub({ store, log });
  test.teardown(() => hub.close());
  const queue = createOrderQueue({ store, hub });
  let commits = 0;
  async function enter(hosts: string[], options: EnterOptions = {}, by: OrderQueue = queue): Promise<void> {
    const orders = await Promise.all(hosts.map((host) => by.enter(newOrder(host, Date.now()), options)));
    commits += 1;
    await store.commit({
      id: `enter-${commits}`,
      changes: orders.map((order) => putOrder(order.host, order)),
    });
  }
  return { store, hub, queue, enter };
}

async function listed(store: ConfigStore, lane: keyof typeof orderLanes): Promise<string[]> {
  return (await store.listDue('order', Number.MAX_SAFE_INTEGER, 1_000, orderLanes[lane])).map(({ id }) => id);
}

const names = (domain: string, count: number) =>
  Array.from({ length: count }, (_, index) => `h${String(index).padStart(3, '0')}.${domain}`);

t.test('domains take turns, however many hosts of one come first', async (t) => {
  const { store, enter } = await start(t);
  await enter(names('bulk.example', 50));
  await enter(['shop.customer.example']);
  await enter(names('other.example', 3));
  const order = await listed(store, 'first');
  t.equal(order.length, 54);
  t.ok(order.indexOf('shop.customer.example') <= 2, `${order.slice(0, 5)}`);
  t.ok(order.indexOf('h002.other.example') < 10, 'a round each');
  t.same(
    order.filter((id) => id.endsWith('bulk.example')),
    names('bulk.example', 50),
    'and among those of one domain first come, first served',
  );
});

t.test('domains take turns over two control planes too, once each has heard of the other’s', async (t) => {
  const { store, hub, enter } = await start(t);
  const heard = Promise.withResolvers<void>();
  const there = createOrderQueue({ store, hub });
  t.teardown(() => there.close());
  const unwatch = hub.watch((entry) => {
    if (entry?.changes.some(({ id }) => id === 'h049.bulk.example')) heard.resolve();
  });
  t.teardown(unwatch);
  await enter(names('bulk.example', 50));
  await heard.promise;
  await enter(['late.bulk.example'], {}, there);
  await enter(['shop.customer.example'], {}, there);
  const order = await listed(store, 'first');
  t.ok(order.indexOf('shop.customer.example') <= 2);
  t.equal(order.at(-1), 'late.bulk.example');
});

t.test(
  'hosts of another issuer stand before the thousands of one, though every host is a domain of its own',
  async (t) => {
    const { store, enter } = await start(t);
    await enter(
      names('example', 400).map((name) => name.replace('.', '-one.')),
      { asks: 'slow' },
    );
    await enter(['quick.example'], { asks: 'quick' });
    t.ok((await listed(store, 'first')).indexOf('quick.example') <= 20);
  },
);

t.test('an order that has begun, failed or is no first attempt keeps its date', async (t) => {
  const { queue } = await start(t);
  const order = newOrder('shop.example', Date.now());
  const changes: Partial<OrderRecord>[] = [
    { step: 'ordered' },
    { failures: 1 },
    { renewAt: order.dueAt },
    { renewal: 'revoked' },
    { unusedSince: order.dueAt },
  ];
  for (const change of changes) t.equal((await queue.enter({ ...order, ...change })).place, null);
  t.type((await queue.enter(forgetFailures({ ...order, failures: 3 }, Date.now()))).place, 'number');
});

/** A coordinator whose orders go on until the test ends them. */
function coordinate(test: Pick<typeof t, 'teardown'>, store: ConfigStore, hub: ChangeHub, queue: OrderQueue) {
  const taken: string[] = [];
  const runner = {
    run(id: string, signal: AbortSignal) {
      taken.push(id);
      return new Promise<boolean>((resolve) => signal.addEventListener('abort', () => resolve(true)));
    },
  };
  const slots = { first: 16, waited: 8 };
  const coordinator = createCoordinator({ store, hub, fleet, runner, queue, log, slots });
  test.teardown(() => coordinator.close());
  return taken;
}

t.test('who waits for the answer is taken up though all places for others are taken', async (t) => {
  const { store, hub, queue, enter } = await start(t);
  await enter(names('bulk.example', 200));
  const taken = coordinate(t, store, hub, queue);
  await waitFor(() => taken.length > 0, { what: 'the import to begin' });
  const before = taken.length;
  await enter(['shop.bulk.example'], { waitMs: 60_000 });
  await waitFor(() => taken.includes('shop.bulk.example'), { what: 'the one that is waited for' });
  t.ok(before <= 8 && taken.length <= before + 1, `${taken.length} of the import`);
});

t.test('one issuer leaves as many places to others as it takes', async (t) => {
  const { store, hub, queue, enter } = await start(t);
  await enter(names('bulk.example', 200), { asks: 'slow' });
  const taken = coordinate(t, store, hub, queue);
  await waitFor(() => taken.length === 8, { what: 'half of the places' });
  await enter(['shop.customer.example'], { asks: 'quick' });
  await waitFor(() => taken.includes('shop.customer.example'), { what: 'the order at the other issuer' });
  t.equal(taken.length, 9);
});

t.test('an order whose caller waits no more goes back to all others', async (t) => {
  const { store, hub, queue, enter } = await start(t);
  await enter(['gone.example'], { waitMs: -1 });
  coordinate(t, store, hub, queue);
  await waitFor(async () => (await listed(store, 'first')).includes('gone.example'), {
    what: 'the end of the wait',
  });
  t.same(await listed(store, 'waited'), []);
});

t.test(
  'a route written again by somebody who waits moves its order up, and tells where it stands',
  async (t) => {
    const { store, queue, enter } = await start(t);
    await enter(names('bulk.example', 20));
    const service = createRouteService({ store, queue, check: async () => [] });
    const body = { hosts: ['shop.bulk.example'], paths: ['/'], upstreams: [{ url: 'http://127.0.0.1:1' }] };
    const order = async () => (await store.get('order', 'shop.bulk.example'))!.value;
    const position = async (perSecond: number | null) =>
      queuePositionOf(await order(), { store, pace: { perSecond: () => perSecond }, now: () => 1_000 });
    await service.replace(byAdmin, 'shop', body);
    t.same(await position(null), { position: 21, estimatedAt: null });
    t.same(await position(7), { position: 21, estimatedAt: '1970-01-01T00:00:04.000Z' });
    await service.replace(byAdmin, 'shop', body, 60_000);
    t.same(await listed(store, 'waited'), ['shop.bulk.example']);
    t.same(await position(1), { position: 1, estimatedAt: '1970-01-01T00:00:02.000Z' });
    t.match(
      await queuePositionOf(
        { ...(await order()), step: 'placed' },
        { store, pace: { perSecond: () => 1 }, now: Date.now },
      ),
      null,
    );
  },
);

t.test(
  'an order held back by the share that is kept has another try once somebody waits for it',
  async (t) => {
    const { store, queue } = await start(t);
    const service = createRouteService({ store, queue, check: async () => [] });
    const body = { hosts: ['shop.example'], paths: ['/'], upstreams: [{ url: 'http://127.0.0.1:1' }] };
    await service.replace(byAdmin, 'shop', body);
    const soon = new Date(Date.now() + 30_000).toISOString();
    const order = (await store.get('order', 'shop.example'))!.value;
    const held = { ...order, place: null, dueAt: soon, setbacks: { le: { failures: 0, until: soon } } };
    await store.commit({ id: 'held', changes: [putOrder('shop.example', held)] });
    t.match(await queuePositionOf(held, { store, pace: { perSecond: () => null }, now: Date.now }), {
      position: 1,
      estimatedAt: soon,
    });
    await service.replace(byAdmin, 'shop', body);
    t.same(await listed(store, 'waited'), [], 'not for a write that nobody waits for');
    await service.replace(byAdmin, 'shop', body, 60_000);
    t.same(await listed(store, 'waited'), ['shop.example']);
    t.same((await store.get('order', 'shop.example'))?.value.setbacks, {});
  },
);
