import {
  type OrderLane,
  type OrderRecord,
  orderLanes,
  placedLanes,
  type StoredRecord,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { commitUnlessChanged } from '../changes/writes.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { isWaitedFor, laneOf, putOrder } from '../orders/order-record.ts';
import { orderLeaseMs } from './order-lease.ts';
import type { OrderRunner } from './order-runner.ts';

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
/** Between two looks while changes keep coming in. */
const lookPauseMs = 20;
/** How far it looks for an order at another issuer, and how long it leaves that be afterwards. */
const mostListed = 2_000;
const farLookMs = 1_000;
const lanes = Object.keys(orderLanes) as OrderLane[];
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

interface Running {
  lane: OrderLane;
  /** Where the order stands by now: when this is over, it is looked for there. */
  next: OrderLane;
  issuer: string;
  done: Promise<void>;
}

export function createCoordinator(options: CoordinatorOptions): Coordinator {
  const { store, hub, fleet, runner, queue, log, now = Date.now } = options;
  const slots = { ...defaultSlots, ...options.slots };
  const stop = new AbortController();
  const running = new Map<string, Running>();
  /** Orders that another control plane works on, and when to look at them again. */
  const elsewhere = new Map<string, number>();
  /** In the lane of those that are waited for, without anybody who waits. */
  const unwaited: string[] = [];
  /** When each queue is looked at next, by this process's clock. A hint makes it at once. */
  const lookAt = new Map(lanes.map((lane) => [lane, 0]));
  const farLookAt = new Map<OrderLane, number>();
  let nextLook: { cancel(): void } | null = null;
  let looking = false;
  let quietUntil = 0;

  /** Looks at these queues soon: after what goes on in this turn of the loop, since somebody may wait for an answer that is being written. */
  function wake(hinted: Iterable<OrderLane>): void {
    for (const lane of hinted) lookAt.set(lane, 0);
    plan();
  }

  function plan(): void {
    if (looking || stop.signal.aborted) return;
    nextLook?.cancel();
    const inMs = Math.max(quietUntil, Math.min(...lookAt.values())) - performance.now();
    nextLook = inMs > 0 ? after(inMs, look) : afterThisTurn(look);
  }

  /** Takes up what is due in each queue whose time has come. */
  function look(): void {
    looking = true;
    const at = performance.now();
    const concerned = lanes.filter((lane) => (lookAt.get(lane) ?? 0) <= at);
    for (const lane of concerned) lookAt.set(lane, at + idleMs);
    takeUp(concerned)
      .catch((error: unknown) => {
        if (!stop.signal.aborted) log.warn({ err: error }, 'cannot look for due orders; trying again');
      })
      .then(() => {
        looking = false;
        // Every commit to an order, at whichever control plane, comes as a change: many are one look.
        quietUntil = performance.now() + lookPauseMs;
        plan();
      });
  }

  function mayIssue(): boolean {
    return fleet.liveNodes().length > 0 && fleet.view().issuesNothing === null;
  }

  async function takeUp(concerned: OrderLane[]): Promise<void> {
    if (!mayIssue()) return;
    for (const [id, until] of elsewhere) if (until <= now()) elsewhere.delete(id);
    await Promise.all(
      concerned.map(async (lane) => {
        const until = performance.now() + (await lookAtLane(lane));
        lookAt.set(lane, Math.min(lookAt.get(lane) ?? 0, until));
      }),
    );
    await demoteUnwaited();
  }

  /** Tells how long nothing else of the queue will be due. */
  async function lookAtLane(lane: OrderLane): Promise<number> {
    const free = () => slots[lane] - count((one) => one.lane === lane);
    const placed = placedLanes.includes(lane);
    // A place that becomes free is looked after by whoever leaves it. What has begun stays with those who took it from another lane.
    let limit = slots[lane] + elsewhere.size + (placed ? 0 : running.size);
    while (free() > 0) {
      const until = placed ? Number.MAX_SAFE_INTEGER : now();
      const due = await store.listDue('order', until, limit, orderLanes[lane]);
      if (stop.signal.aborted) return idleMs;
      for (const record of due) if (free() > 0) take(lane, record);
      if (due.length < limit) break;
      if (!sharedLanes.includes(lane)) return idleMs;
      if (limit >= mostListed || performance.now() < (farLookAt.get(lane) ?? 0)) return farLookMs;
      limit = mostListed;
      farLookAt.set(lane, performance.now() + farLookMs);
    }
    if (free() <= 0 || placed) return idleMs;
    const next = await store.nextDue('order', orderLanes[lane]);
    // What is due and was not taken is elsewhere, or waits for a place at its issuer.
    return next === null || next <= now() ? idleMs : next - now();
  }

  /** Whoever waited for them has gone away: they go to the end of the queue of all others. */
  async function demoteUnwaited(): Promise<void> {
    const ids = unwaited.splice(0);
    for (const { id, revision, value } of (await store.getMany('order', ids)).filter((one) => one !== null)) {
      const entered = await queue.enter({ ...value, waitedUntil: null });
      // Where it changed, it is looked at again.
      await commitUnlessChanged(store, {
        by: { kind: 'coordinator' },
        cause: revision,
        checks: [{ kind: 'order', id, revision }],
        changes: [putOrder(id, entered)],
      });
    }
  }

  function count(matches: (one: Running) => boolean): number {
    let found = 0;
    for (const one of running.values()) if (matches(one)) found += 1;
    return found;
  }

  function take(lane: OrderLane, { id, value }: Pick<StoredRecord<'order'>, 'id' | 'value'>): void {
    if (running.has(id) || elsewhere.has(id)) return;
    const issuer = value.issuer ?? value.lastError?.issuer ?? value.asks ?? '';
    if (lane === 'waited' && !isWaitedFor(value, now())) {
      unwaited.push(id);
      return;
    }
    // One issuer takes no more than it leaves to the others: one that is slow, or fails all its hosts, holds up nobody else's.
    const held = count((one) => one.lane === lane);
    const mine = count((one) => one.lane === lane && one.issuer === issuer);
    if (sharedLanes.includes(lane) && mine >= Math.max(1, slots[lane] - held)) return;
    const done = runner
      .run(id, stop.signal)
      .then((mine) => {
        if (!mine) elsewhere.set(id, now() + orderLeaseMs / 5);
      })
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        elsewhere.set(id, now() + idleMs);
        log.error({ err: error, certificate: id }, 'an order was interrupted; it is taken up again');
      })
      .finally(() => {
        const { next = lane } = running.get(id) ?? {};
        running.delete(id);
        wake([lane, next]);
      });
    running.set(id, { lane, next: lane, issuer, done });
  }

  /** Whoever is waited for need not wait for a look as well, where there is plenty of room: nobody is passed over then. */
  function takeAtOnce({ id, value }: { id: string; value: OrderRecord }): void {
    if (stop.signal.aborted || !mayIssue() || value.dueAt === null) return;
    if (laneOf(value) !== 'waited' || !isWaitedFor(value, now())) return;
    if (count((one) => one.lane === 'waited') < slots.waited / 2) take('waited', { id, value });
  }

  /** The queue that an order is to be looked for in, now that it was changed; none where it is being worked on. */
  function laneToLookAt({ id, value }: { id: string; value: OrderRecord }): OrderLane[] {
    const lane = laneOf(value);
    takeAtOnce({ id, value });
    const mine = running.get(id);
    if (mine === undefined) return [lane];
    mine.next = lane;
    return [];
  }

  const unwatchHub = hub.watch((entry) => {
    if (entry === null) return wake(lanes);
    const hinted = entry.changes.flatMap((change) =>
      change.op === 'put' && change.kind === 'order' ? laneToLookAt(change) : [],
    );
    if (hinted.length > 0) wake(hinted);
  });
  let might = false;
  const unwatchFleet = fleet.watch(() => {
    const may = mayIssue();
    if (may && !might) wake(lanes);
    might = may;
  });
  plan();

  return {
    running() {
      const counted = lanes.map((lane) => [lane, count((one) => one.lane === lane)]);
      return Object.fromEntries(counted) as Record<OrderLane, number>;
    },
    async close() {
      stop.abort(new Error('the control plane stops'));
      unwatchHub();
      unwatchFleet();
      nextLook?.cancel();
      await Promise.allSettled([...running.values()].map(({ done }) => done));
    },
  };
}

function after(ms: number, run: () => void): { cancel(): void } {
  const timer = setTimeout(run, ms);
  return { cancel: () => clearTimeout(timer) };
}

function afterThisTurn(run: () => void): { cancel(): void } {
  const immediate = setImmediate(run);
  return { cancel: () => clearImmediate(immediate) };
}
