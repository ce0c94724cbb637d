import { type OrderLane, orderLanes, placedLanes, type StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { commitUnlessChanged } from '../changes/writes.ts';
import { createDueWork, type Lane } from '../due-work/due-work.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { isWaitedFor, laneOf, putOrder } from '../orders/order-record.ts';
import { type OrderRunner, orderLeaseMs } from './order-runner.ts';

/**
 * Orders under way at once in one control plane, by queue: work in flight, since whoever waits for a date is in none of them. A queue
 * never waits for another's.
 */
const defaultSlots: Record<OrderLane, number> = {
  waited: 32,
  first: 64,
  pressing: 64,
  renewal: 16,
  retry: 16,
  dns: 16,
  upkeep: 8,
};
/** How long the coordinator sleeps at the most: hints may be lost. */
const idleMs = 5_000;
const names = Object.keys(orderLanes) as OrderLane[];
/** Those whose places issuers share. */
const sharedLanes: readonly OrderLane[] = [...placedLanes, 'pressing', 'retry'];

/**
 * Takes up orders as they fall due. Any number of coordinators may run over one store; the lease of each order says who works
 * on it. Nothing is taken up while no edge is live: nobody could answer a challenge or serve the certificate. Nor while this machine's
 * clock is wrong: what it obtained might not be valid yet.
 */
export interface Coordinator {
  /** Orders under way here, by queue. */
  running(): Record<OrderLane, number>;
  /** Stops taking up orders, interrupts those under way where they can be resumed, and hands their leases over. */
  close(): Promise<void>;
}

export interface CoordinatorOptions {
  store: ConfigStore;
  hub: ChangeHub;
  fleet: Fleet;
  runner: OrderRunner;
  queue: Pick<OrderQueue, 'enter'>;
  log: Logger;
  slots?: Partial<Record<OrderLane, number>>;
  now?: () => number;
}

export function createCoordinator(options: CoordinatorOptions): Coordinator {
  const { store, hub, fleet, runner, queue, log, now = Date.now } = options;
  const slots = { ...defaultSlots, ...options.slots };
  const lanes = Object.fromEntries(
    names.map((lane): [OrderLane, Lane] => [
      lane,
      {
        slots: slots[lane],
        number: orderLanes[lane],
        placed: placedLanes.includes(lane),
        shared: sharedLanes.includes(lane),
      },
    ]),
  ) as Record<OrderLane, Lane>;

  function mayIssue(): boolean {
    const { nodes, issuesNothing } = fleet.view();
    return nodes.some(({ connected }) => connected) && issuesNothing === null;
  }

  const work = createDueWork({
    store,
    kind: 'order',
    lanes,
    may: mayIssue,
    groupOf: ({ issuer, lastError, asks }) => issuer ?? lastError?.issuer ?? asks ?? '',
    run: (lane, record, signal) =>
      lane === 'waited' && !isWaitedFor(record.value, now()) ? demote(record) : runner.run(record.id, signal),
    idleMs,
    elsewhereMs: orderLeaseMs / 5,
    log,
    now,
  });

  /** Whoever waited for it has gone away: it goes to the end of the queue of all others. */
  async function demote({ id, revision, value }: StoredRecord<'order'>): Promise<true> {
    const entered = await queue.enter({ ...value, waitedUntil: null });
    // Where it changed, it is looked at again.
    await commitUnlessChanged(store, {
      by: { kind: 'coordinator' },
      cause: revision,
      checks: [{ kind: 'order', id, revision }],
      changes: [putOrder(id, entered)],
    });
    return true;
  }

  /** Whoever is waited for need not wait for a look as well, where there is plenty of room: nobody is passed over then. */
  function takeAtOnce(record: StoredRecord<'order'>): void {
    const { value } = record;
    if (!mayIssue() || value.dueAt === null) return;
    if (laneOf(value) !== 'waited' || !isWaitedFor(value, now())) return;
    if (work.running('waited') < slots.waited / 2) work.take('waited', record);
  }

  const unwatchHub = hub.watch((entry) => {
    if (entry === null) return work.wake();
    for (const change of entry.changes) {
      if (change.kind !== 'order' || change.op !== 'put') continue;
      const { kind, id, value } = change;
      takeAtOnce({ kind, id, value, revision: entry.position.number });
      work.hear(id, laneOf(value));
    }
  });
  let might = false;
  const unwatchFleet = fleet.watch(() => {
    const may = mayIssue();
    if (may && !might) work.wake();
    might = may;
  });

  return {
    running: () =>
      Object.fromEntries(names.map((lane) => [lane, work.running(lane)])) as Record<OrderLane, number>,
    async close() {
      unwatchHub();
      unwatchFleet();
      await work.close();
    },
  };
}
