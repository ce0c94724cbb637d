import { recordKey } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../change-hub.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { type OrderRunner, orderLeaseMs } from './order-runner.ts';

/** Orders under way at once in one control plane. */
const defaultConcurrency = 32;
/** How long the coordinator sleeps at the most: hints may be lost. */
const idleMs = 5_000;
const orderPrefix = recordKey('order', '');

/**
 * Takes up orders as they fall due. Any number of coordinators may run over one store; the lease of each order says who works
 * on it. Nothing is taken up while no edge is live: nobody could answer a challenge or serve the certificate.
 */
export interface Coordinator {
  /** Orders under way here. */
  running(): number;
  /** Stops taking up orders, interrupts those under way where they can be resumed, and hands their leases over. */
  close(): Promise<void>;
}

export interface CoordinatorOptions {
  store: ConfigStore;
  hub: ChangeHub;
  fleet: Fleet;
  runner: OrderRunner;
  log: Logger;
  concurrency?: number;
  now?: () => number;
}

export function createCoordinator(options: CoordinatorOptions): Coordinator {
  const { store, hub, fleet, runner, log, concurrency = defaultConcurrency, now = Date.now } = options;
  const stop = new AbortController();
  const running = new Map<string, Promise<void>>();
  /** Orders that another control plane works on, and when to look at them again. */
  const elsewhere = new Map<string, number>();
  let timer: NodeJS.Timeout | null = null;
  let looking = false;
  let lookAgain = false;

  function wake(): void {
    if (looking) {
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
        if (lookAgain) return wake();
        if (timer !== null) clearTimeout(timer);
        timer = setTimeout(wake, waitMs);
      });
  }

  /** Takes up what is due, and tells how long nothing else will be. */
  async function look(): Promise<number> {
    if (stop.signal.aborted || running.size >= concurrency || fleet.liveNodes().length === 0) return idleMs;
    for (const [id, until] of elsewhere) if (until <= now()) elsewhere.delete(id);
    const due = await store.listDue('order', now(), concurrency + running.size + elsewhere.size);
    for (const { id } of due) {
      if (running.size >= concurrency) return idleMs;
      if (!running.has(id) && !elsewhere.has(id)) take(id);
    }
    const next = await store.nextDue('order');
    const waitMs = next === null ? idleMs : next - now();
    return waitMs > 0 ? Math.min(idleMs, waitMs) : idleMs;
  }

  function take(id: string): void {
    const task = runner
      .run(id, stop.signal)
      .then((mine) => {
        if (!mine) elsewhere.set(id, now() + orderLeaseMs / 3);
      })
      .catch((error: unknown) => {
        elsewhere.set(id, now() + idleMs);
        log.error({ err: error, certificate: id }, 'an order was interrupted; it is taken up again');
      })
      .finally(() => {
        running.delete(id);
        wake();
      });
    running.set(id, task);
  }

  const unwatchHub = hub.watch((key) => {
    if (key === null || key.startsWith(orderPrefix)) wake();
  });
  let hadLiveNodes = false;
  const unwatchFleet = fleet.watch(() => {
    const hasLiveNodes = fleet.liveNodes().length > 0;
    if (hasLiveNodes && !hadLiveNodes) wake();
    hadLiveNodes = hasLiveNodes;
  });
  wake();

  return {
    running: () => running.size,
    async close() {
      stop.abort(new Error('the control plane stops'));
      unwatchHub();
      unwatchFleet();
      if (timer !== null) clearTimeout(timer);
      await Promise.allSettled(running.values());
    },
  };
}
