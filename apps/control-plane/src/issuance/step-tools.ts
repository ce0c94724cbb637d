import { type EventDraft, isAppError, type OrderRecord, type StoredRecord } from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import type { KeptLease } from '../changes/kept-lease.ts';
import { commit, retryOnConflict, type Write } from '../changes/writes.ts';
import { isRefusal, type Ledger, type LedgerRefusal } from '../issuers/ledger/ledger.ts';
import { carriedOver, putOrder, standsAs } from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';

/** A wait up to this long is spent holding the lease; a longer one becomes a date in the store. */
export const shortWaitMs = 1_000;

/** What to write after a step. */
export interface Outcome {
  order: OrderRecord;
  changes?: Change[];
  checks?: Check[];
  /** What callers are told of it. */
  events?: EventDraft[];
  /** Until the next step; 0 when left out, and the order's own date counts. */
  waitMs?: number;
}

/** How a step of an order writes down what came of it. */
export interface StepTools {
  lease: KeptLease;
  /** The order as the last write left it; null where that wrote nothing, or there was none: it has to be read. */
  written(): StoredRecord<'order'> | null;
  /**
   * Writes the outcome under the lease, and gives it back. Where somebody changed the order (or what else it checks) meanwhile, nothing
   * is written, and the order comes back as the step took it up: it is read anew.
   */
  write(outcome: Outcome): Promise<Outcome>;
  /**
   * The same for an outcome that takes from the ledger's buckets or gives back: built anew when another took from one meanwhile. Null where
   * nothing is written.
   */
  spend<O extends Outcome>(
    issuer: string,
    build: () => Promise<O | LedgerRefusal>,
  ): Promise<{ record: StoredRecord<'order'>; outcome: O } | LedgerRefusal | null>;
}

export interface StepToolsOptions {
  store: ConfigStore;
  ledger: Pick<Ledger, 'spend'>;
  now: () => number;
  wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** The tools of a step that took up the order as `taken`. */
export function createStepTools(
  { store, ledger, now, wait }: StepToolsOptions,
  lease: KeptLease,
  taken: StoredRecord<'order'>,
): StepTools {
  /** As the store had it last, to this step's knowledge. */
  let stored = taken;
  let written: StoredRecord<'order'> | null = null;

  /** What came of the step, written onto the order as it is by now. */
  function writeOf(
    { id, revision, value: latest }: StoredRecord<'order'>,
    { order, changes = [], checks = [], events = [], waitMs = 0 }: Outcome,
  ): { write: Write; value: OrderRecord } {
    // Short waits are not dates: whoever takes over goes on at once.
    const dueAt = waitMs > shortWaitMs ? iso(now() + waitMs) : order.dueAt;
    const value: OrderRecord = { ...carriedOver(stored.value, order, latest), dueAt };
    const write: Write = {
      by: { kind: 'coordinator' },
      cause: stored.revision,
      lease: lease.current(),
      checks: [{ kind: 'order', id, revision }, ...checks],
      changes: [putOrder(id, value), ...changes],
      events,
    };
    return { write, value };
  }

  /**
   * Writes onto the order as it is by now. A route that comes to name the host changes its record too, and what a CA has been asked
   * for meanwhile must not be lost for that. Null when somebody changed where the order stands, or what else the write checks.
   */
  async function onLatest<T>(write: (latest: StoredRecord<'order'>) => Promise<T>): Promise<T | null> {
    written = null;
    try {
      return await retryOnConflict(
        async (conflict) => {
          const latest = conflict === null ? stored : await store.get('order', stored.id);
          return latest !== null && standsAs(latest.value, stored.value) ? write(latest) : null;
        },
        { kind: 'order', wait: (ms) => wait(ms, lease.signal) },
      );
    } catch (error) {
      if (isAppError(error, 'revision_conflict') || isAppError(error, 'overloaded')) return null;
      throw error;
    }
  }

  return {
    lease,
    written: () => written,
    async write(outcome) {
      const made = await onLatest(async (latest) => {
        const { write, value } = writeOf(latest, outcome);
        const { number } = await commit(store, write);
        written = stored = { ...stored, revision: number, value };
        return outcome;
      });
      return made ?? { order: taken.value };
    },
    spend<O extends Outcome>(issuer: string, build: () => Promise<O | LedgerRefusal>) {
      return onLatest(async (latest) => {
        let outcome!: O;
        let value = latest.value;
        const spent = await ledger.spend(issuer, async () => {
          const built = await build();
          if (isRefusal(built)) return built;
          outcome = built;
          const made = writeOf(latest, built);
          value = made.value;
          return made.write;
        });
        if (isRefusal(spent)) return spent;
        written = stored = { ...stored, revision: spent.number, value };
        return { record: stored, outcome };
      });
    },
  };
}
