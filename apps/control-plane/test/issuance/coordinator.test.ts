import { idleOrder } from '@lockstep/contract';
import { type ConfigStore, createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { type ChangeHub, createChangeHub } from '../../src/changes/change-hub.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import { createCoordinator } from '../../src/issuance/coordinator.ts';
import { createOrderQueue } from '../../src/orders/order-queue.ts';
import { putOrder } from '../../src/orders/order-record.ts';

const log = pino({ level: 'silent' });
const backlog = 1_500;

/** A coordinator, and what it has taken up: none of that ends, as at a CA that does not answer. */
function startCoordinator(
  test: Pick<typeof t, 'teardown'>,
  { store, hub }: { store: ConfigStore; hub: ChangeHub },
) {
  // There are no edges here: that one is connected is all that the coordinator asks.
  const view = () => ({ nodes: [{ connected: true }], issuesNothing: null });
  const fleet = { view, watch: () => () => {} } as unknown as Fleet;
  const taken = new Set<string>();
  const runner = {
    run: (id: string, signal: AbortSignal) =>
      new Promise<boolean>((resolve) => {
        taken.add(id);
        signal.addEventListener('abort', () => resolve(true));
      }),
  };
  const queue = createOrderQueue({ store });
  const coordinator = createCoordinator({ store, queue, hub, fleet, runner, log });
  test.teardown(() => coordinator.close());
  return { taken, queue };
}

/** A store in which that many retries at one issuer are due, and counts of what is read of it. */
async function startBacklog(test: Pick<typeof t, 'teardown'>) {
  const real = createSqliteStore({ path: ':memory:' });
  test.teardown(() => real.close());
  await real.open({ create: true, expectedEpoch: null });
  const counts = { looks: 0, listed: 0 };
  const store: typeof real = Object.assign(Object.create(real), {
    async listDue(...args: Parameters<typeof real.listDue>) {
      const found = await real.listDue(...args);
      counts.looks += args[3] === 0 ? 1 : 0;
      counts.listed += found.length;
      return found;
    },
  });
  const now = new Date().toISOString();
  const retry = (host: string, issuer: string, dueAt: number) =>
    putOrder(host, {
      ...idleOrder(host, now, new Date(dueAt).toISOString()),
      failures: 1,
      lastError: { detail: 'it failed', issuer, step: 'idle', type: null, at: now },
    });
  const since = Date.now() - 60_000;
  const changes = Array.from({ length: backlog }, (_, index) =>
    retry(`bad-${index}.example.com`, 'down', since + index),
  );
  changes.push(retry('good.example.com', 'other', since + backlog));
  for (let at = 0; at < changes.length; at += 500)
    await real.commit({ id: `load-${at}`, changes: changes.slice(at, at + 500) });
  const hub = await createChangeHub({ store: real, log });
  test.teardown(() => hub.close());
  return { store, hub, counts, retry };
}

t.test(
  'a backlog of retries at one issuer hides none at another, and is not read at every change',
  async (t) => {
    const { store, hub, counts, retry } = await startBacklog(t);
    const { taken } = startCoordinator(t, { store, hub });
    await waitFor(() => taken.has('good.example.com'), { what: 'the retry at the other issuer' });
    t.equal(taken.size, 9, 'of the issuer that is down, no more than its share');

    counts.looks = 0;
    counts.listed = 0;
    const began = performance.now();
    for (let change = 0; performance.now() - began < 500; change += 1)
      await store.commit({
        id: `change-${change}`,
        changes: [retry('more.example.com', 'down', Date.now())],
      });
    const seconds = (performance.now() - began) / 1_000;
    t.ok(counts.looks <= seconds * 50 + 2, `${counts.looks} looks in ${seconds.toFixed(2)} s of changes`);
    t.ok(counts.listed <= counts.looks * 100 + (seconds + 1) * 2_100, `${counts.listed} records read`);
  },
);

t.test('an order that somebody waits for is taken up without a look', async (t) => {
  const { store: real, hub } = await startBacklog(t);
  const looking = Promise.withResolvers<void>();
  const store: typeof real = Object.assign(Object.create(real), {
    listDue() {
      looking.resolve();
      return new Promise(() => {}); // as from a store that is slow
    },
  });
  const { taken, queue } = startCoordinator(t, { store, hub });
  await looking.promise;
  const now = new Date().toISOString();
  const enter = async (host: string, waitMs: number | null) =>
    putOrder(host, await queue.enter(idleOrder(host, now, now), { waitMs }));
  await real.commit({
    id: 'two',
    changes: [await enter('import.example.com', null), await enter('waited.example.com', 60_000)],
  });
  await waitFor(() => taken.has('waited.example.com'), { what: 'the order that is waited for' });
  t.same([...taken], ['waited.example.com']);
});
