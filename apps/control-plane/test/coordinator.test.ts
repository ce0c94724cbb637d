import { idleOrder } from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createChangeHub } from '../src/change-hub.ts';
import type { Fleet } from '../src/fleet/fleet.ts';
import { createCoordinator } from '../src/issuance/coordinator.ts';
import { createOrderQueue } from '../src/issuance/order-queue.ts';
import { putOrder } from '../src/issuance/order-record.ts';

const log = pino({ level: 'silent' });
const backlog = 1_500;

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
    // There are no edges here: that one is live is all that the coordinator asks.
    const view = () => ({ issuesNothing: null });
    const fleet = { liveNodes: () => [{}], view, watch: () => () => {} } as unknown as Fleet;
    const taken = new Set<string>();
    const runner = {
      /** As at a CA that does not answer. */
      run: (id: string, signal: AbortSignal) =>
        new Promise<boolean>((resolve) => {
          taken.add(id);
          signal.addEventListener('abort', () => resolve(true));
        }),
    };
    const coordinator = createCoordinator({
      store,
      queue: createOrderQueue({ store }),
      hub,
      fleet,
      runner,
      log,
    });
    t.teardown(() => coordinator.close());
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
