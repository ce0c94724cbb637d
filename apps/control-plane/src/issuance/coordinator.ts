import { type OrderLane, orderLanes, recordKey, type StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../change-hub.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { orderLeaseMs } from './order-lease.ts';
import type { OrderRunner } from './order-runner.ts';

/**
 * Orders under way at once in one control plane, by queue: work in flight, since whoever waits for a date is in none of them. A queue
 * never waits for another's.
 */
const defaultSlots: Record<OrderLane, number> = { first: 64, renewal: 16, retry: 16, dns: 16, upkeep: 8 };
/** Of the retries, those at one issuer: one whose hosts all fail leaves room for the others. */
const retriesPerIssuer = 8;
/** How long the coordinator sleeps at the most: hints may be lost. */
const idleMs = 5_000;
/** Between two looks while changes keep coming in. */
const lookPauseMs = 20;
/** How far it looks for a retry at another issuer, and how long it leaves that be afterwards. */
const mostListed = 2_000;
const farLookMs = 1_000;
const lanes = Object.keys(orderLanes) as OrderLane[];
const orderPrefix = recordKey('order', '');

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
  log: Logger;
  slots?: Partial<Record<OrderLane, number>>;
  now?: () => number;
}

interface Running {
  lane: OrderLane;
  issuer: string;
  done: Promise<void>;
}

export function createCoordinator(options: CoordinatorOptions): Coordinator {
  const { store, hub, fleet, runner, log, now = Date.now } = options;
  const slots = { ...defaultSlots, ...options.slots };
  const stop = new AbortController();
  const running = new Map<string, Running>();
  /** Orders that another control plane works on, and when to look at them again. */
  const elsewhere = new Map<string, number>();
  let timer: NodeJS.Timeout | null = null;
  let looking = false;
  let lookAgain = false;
  /** The latest look ended a moment ago, and the timer begins the next. */
  let pausing = false;
  let farLookAt = 0;

  function wake(): void {
    if (looking || pausing) {
      lookAgain = true;
      return;
    }
    looking = true;
    lookAgain = false;
    look()
      .catch((error: unknown) => {
        if (!stop.signal.aborted) log.warn({ err: error }, 'cannot look for due orders; trying again');
        return idleMs;
      })
      .then((waitMs) => {
        looking = false;
        if (stop.signal.aborted) return;
        if (timer !== null) clearTimeout(timer);
        // Every commit to an order, at whichever control plane, comes as a change: many are one look.
        pausing = true;
        timer = setTimeout(() => {
          pausing = false;
          if (lookAgain) wake();
          else timer = setTimeout(wake, Math.max(0, waitMs - lookPauseMs));
        }, lookPauseMs);
      });
  }

  function mayIssue(): boolean {
    return fleet.liveNodes().length > 0 && fleet.view().issuesNothing === null;
  }

  /** Takes up what is due, and tells how long nothing else will be. */
  async function look(): Promise<number> {
    if (stop.signal.aborted || !mayIssue()) return idleMs;
    for (const [id, until] of elsewhere) if (until <= now()) elsewhere.delete(id);
    const waits = await Promise.all(lanes.map(lookAtLane));
    return Math.min(idleMs, ...waits);
  }

  async function lookAtLane(lane: OrderLane): Promise<number> {
    const free = () => slots[lane] - count((one) => one.lane === lane);
    // A place that becomes free is looked after by whoever leaves it.
    let limit = slots[lane] + running.size + elsewhere.size;
    while (free() > 0) {
      const due = await store.listDue('order', now(), limit, orderLanes[lane]);
      if (stop.signal.aborted) return idleMs;
      for (const record of due) if (free() > 0) take(lane, record);
      if (due.length < limit) break;
      if (lane !== 'retry' || limit >= mostListed || performance.now() < farLookAt)
        return lane === 'retry' ? farLookMs : idleMs;
      limit = mostListed;
      farLookAt = performance.now() + farLookMs;
    }
    if (free() <= 0) return idleMs;
    const next = await store.nextDue('order', orderLanes[lane]);
    // What is due and was not taken is elsewhere, or waits for a place at its issuer.
    return next === null || next <= now() ? idleMs : next - now();
  }

  function count(matches: (one: Running) => boolean): number {
    let found = 0;
    for (const one of running.values()) if (matches(one)) found += 1;
    return found;
  }

  function take(lane: OrderLane, { id, value }: StoredRecord<'order'>): void {
    if (running.has(id) || elsewhere.has(id)) return;
    const issuer = value.issuer ?? value.lastError?.issuer ?? '';
    if (
      lane === 'retry' &&
      count((one) => one.lane === 'retry' && one.issuer === issuer) >= Math.min(retriesPerIssuer, slots.retry)
    )
      return;
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
        running.delete(id);
        wake();
      });
    running.set(id, { lane, issuer, done });
  }

  const unwatchHub = hub.watch((key) => {
    if (key === null || key.startsWith(orderPrefix)) wake();
  });
  let might = false;
  const unwatchFleet = fleet.watch(() => {
    const may = mayIssue();
    if (may && !might) wake();
    might = may;
  });
  wake();

  return {
    running() {
      const counts = { first: 0, renewal: 0, retry: 0, dns: 0, upkeep: 0 };
      for (const { lane } of running.values()) counts[lane] += 1;
      return counts;
    },
    async close() {
      stop.abort(new Error('the control plane stops'));
      unwatchHub();
      unwatchFleet();
      if (timer !== null) clearTimeout(timer);
      await Promise.allSettled([...running.values()].map(({ done }) => done));
    },
  };
}
