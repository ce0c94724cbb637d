import { type Boundary, isAppError, type StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { Logger } from 'pino';
import type { ChangeHub } from '../changes/change-hub.ts';
import { keepLease } from '../changes/kept-lease.ts';
import { createDueWork } from '../due-work/due-work.ts';
import type { EventHistory } from '../events/event-history.ts';
import { createArrivals, type WebhooksStanding } from './arrivals.ts';
import type { Deliver } from './deliver.ts';
import { type Heard, type Outcome, sendWhatIsDue } from './sending.ts';

const leaseMs = 30_000;
/** Webhooks that are sent to at once by one control plane; those of one tenant, and those that take nothing, leave places to the others. */
const slots = 200;
const lookIntervalMs = 5_000;

export interface SenderOptions {
  store: ConfigStore;
  hub: Pick<ChangeHub, 'watch'>;
  history: EventHistory;
  deliver: Deliver;
  boundary: Boundary;
  log: Logger;
  now: () => number;
  random?: () => number;
  /** Between two looks, since hints may be lost. */
  lookMs?: number;
}

export interface Sender {
  /** What became of what this process sent. */
  readonly counts: Readonly<Record<Outcome, number>>;
  /** As it was at the last look. */
  readonly standing: Readonly<WebhooksStanding>;
  /** Something may be due that was not, as callers asked for it. */
  wake(): void;
  close(): Promise<void>;
}

/**
 * Sends each webhook its events: those of one subject one after another and in order, the next when the one before was taken; what is
 * refused is tried again for three days and holds up its subject alone. A webhook that took nothing for three days, or whose target says
 * that it is gone (410), is disabled.
 */
export function createSender(options: SenderOptions): Sender {
  const { store, hub, history, boundary, log, now } = options;
  const { random = Math.random, lookMs = lookIntervalMs } = options;
  const counts = { taken: 0, refused: 0, unanswered: 0, given_up: 0 };
  /** Of the runs there are. */
  const hearing = new Map<string, ReturnType<typeof createHeard>>();

  const sending = {
    ...options,
    random,
    count(outcome: Outcome) {
      counts[outcome] += 1;
    },
  };

  async function run(_lane: 'all', { id }: StoredRecord<'webhook-state'>, signal: AbortSignal) {
    const heard = createHeard();
    hearing.set(id, heard);
    try {
      do {
        if (!(await runUnderLease(id, heard, signal))) return false;
      } while (heard.take() && !signal.aborted);
      return true;
    } finally {
      hearing.delete(id);
    }
  }

  async function runUnderLease(id: string, heard: Heard, signal: AbortSignal): Promise<boolean> {
    const granted = await store.acquireLease(`webhook/${id}`, leaseMs);
    if (granted === null) return false;
    const lease = keepLease(store, granted, signal, leaseMs);
    try {
      const looked = await untilUnchanged(() => sendWhatIsDue(sending, id, lease, heard, signal));
      if (looked !== null) arrivals.looked(id, looked);
      return true;
    } catch (error) {
      if (lease.signal.aborted || isAppError(error, 'lease_lost')) return true;
      throw error;
    } finally {
      await lease.release();
    }
  }

  const work = createDueWork({
    store,
    kind: 'webhook-state',
    lanes: { all: { slots, shared: true } },
    run,
    groupOf: ({ failingSince }, id) =>
      `${failingSince === null ? 'well' : 'failing'} ${arrivals.tenantOf(id) ?? ''}`,
    idleMs: lookMs,
    elsewhereMs: 2_000,
    log,
    now,
  });
  const arrivals = createArrivals({
    store,
    hub,
    history,
    boundary,
    lookMs,
    changed: (id) => hearing.get(id)?.change(),
    take(record) {
      hearing.get(record.id)?.hear();
      work.take('all', record);
    },
  });

  return {
    counts,
    standing: arrivals.standing,
    wake: () => work.wake(),
    async close() {
      arrivals.close();
      await work.close();
    },
  };
}

/** Once more where callers, or a rotation of the keys, changed it in the midst. */
async function untilUnchanged<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isAppError(error, 'revision_conflict')) throw error;
    }
  }
}

function createHeard(): Heard & { hear(): void; change(): void } {
  let more = Promise.withResolvers<void>();
  let heard = false;
  let changes = 0;
  return {
    get changes() {
      return changes;
    },
    change() {
      changes += 1;
      more.resolve();
    },
    hear() {
      heard = true;
      more.resolve();
    },
    take() {
      if (!heard) return false;
      heard = false;
      more = Promise.withResolvers<void>();
      return true;
    },
    more: () => more.promise,
  };
}
