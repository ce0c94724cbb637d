import { setTimeout as delay } from 'node:timers/promises';
import { isAppError, type OrderRecord, recordKey, type StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { commit, retryOnConflict, type Write } from '../changes/writes.ts';
import { isRefusal, type Ledger } from '../issuers/ledger/ledger.ts';
import { carriedOver, goesOn, isPlaced, isWaitedFor, putOrder, standsAs } from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';
import type { LoopShare } from '../time/loop-share.ts';
import { orAbort } from '../time/or-abort.ts';
import { backOffMs } from './back-off.ts';
import { isInterruption } from './interruption.ts';
import { type KeptLease, keepLease, orderLeaseMs } from './order-lease.ts';
import type { OrderSteps } from './order-steps.ts';
import type { Outcome, StepTools } from './step-tools.ts';

/** A wait up to this long is spent holding the lease; a longer one becomes a date in the store. */
const shortWaitMs = 1_000;

export interface OrderRunner {
  /**
   * Takes the order of certificate `id` as far as it goes now, under its lease: until it waits, or belongs to another queue. False when
   * another control plane holds it. Every outcome, a failure too, is written down before this returns; only an unreachable store makes it throw.
   */
  run(id: string, signal: AbortSignal): Promise<boolean>;
}

export interface OrderRunnerOptions {
  store: ConfigStore;
  ledger: Pick<Ledger, 'spend'>;
  steps: OrderSteps;
  share?: LoopShare | undefined;
  now?: () => number;
  /** Spends a short wait; rejects when the signal aborts. */
  wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export function createOrderRunner({
  store,
  ledger,
  steps,
  share,
  now = Date.now,
  wait = (ms, signal) => delay(ms, undefined, { signal }),
}: OrderRunnerOptions): OrderRunner {
  async function run(id: string, signal: AbortSignal): Promise<boolean> {
    const granted = await store.acquireLease(recordKey('order', id), orderLeaseMs);
    if (granted === null) return false;
    const lease = keepLease(store, granted, signal);
    try {
      // What cannot be interrupted (a question to a DNS that does not answer) ends by itself: its write is refused without the lease.
      await orAbort(advance(id, lease), lease.signal);
      return true;
    } catch (error) {
      if (lease.signal.aborted || isAppError(error, 'lease_lost')) return true;
      throw error;
    } finally {
      await lease.release();
    }
  }

  async function advance(id: string, lease: KeptLease): Promise<void> {
    let record = await dueOrder(id);
    while (record !== null && !lease.signal.aborted) {
      await share?.turn(isWaitedFor(record.value, now()) ? 'waited' : 'orders');
      const outcome = await nextOf(record, toolsFor(lease, record));
      if (outcome === null) return;
      if (outcome.waitMs > shortWaitMs || !goesOn(record.value, outcome.order)) return;
      if (outcome.waitMs > 0) await wait(outcome.waitMs, lease.signal);
      record = await dueOrder(id);
    }
  }

  /** The next step. What went wrong in it and is nobody's answer (a fault in this program) still leaves a date, or it would come again at once, without end. */
  async function nextOf(record: StoredRecord<'order'>, tools: StepTools): Promise<Outcome | null> {
    try {
      return await steps.next(record, tools);
    } catch (error) {
      if (tools.lease.signal.aborted || isInterruption(error)) throw error;
      if (isAppError(error, 'revision_conflict')) return { order: record.value, changes: [], waitMs: 0 };
      await tools.write(record, { order: postponed(record.value, error), changes: [], waitMs: 0 });
      throw error;
    }
  }

  function postponed(order: OrderRecord, error: unknown): OrderRecord {
    const failures = order.failures + 1;
    const detail = error instanceof Error ? error.message : String(error);
    const at = iso(now());
    return {
      ...order,
      failures,
      lastError: { detail, issuer: order.issuer, step: order.step, type: null, at },
      dueAt: iso(now() + backOffMs(failures)),
    };
  }

  async function dueOrder(id: string): Promise<StoredRecord<'order'> | null> {
    const record = await store.get('order', id);
    if (record === null || record.value.dueAt === null) return null;
    if (!isPlaced(record.value) && Date.parse(record.value.dueAt) > now()) return null;
    return record;
  }

  /** What came of a step that took up the order as `taken`, written onto the order as it is by now. */
  function writeOf(
    taken: StoredRecord<'order'>,
    { id, revision, value: latest }: StoredRecord<'order'>,
    { order, changes, checks = [], waitMs }: Outcome,
    lease: KeptLease,
  ): { write: Write; value: OrderRecord } {
    // Short waits are not dates: whoever takes over goes on at once.
    const dueAt = waitMs > shortWaitMs ? iso(now() + waitMs) : order.dueAt;
    const value: OrderRecord = { ...carriedOver(taken.value, order, latest), dueAt };
    const write: Write = {
      by: { kind: 'coordinator' },
      cause: taken.revision,
      lease: lease.current(),
      checks: [{ kind: 'order', id, revision }, ...checks],
      changes: [putOrder(id, value), ...changes],
    };
    return { write, value };
  }

  /**
   * Writes onto the order as it is by now. A route that comes to name the host changes its record too, and what a CA has been asked
   * for meanwhile must not be lost for that. Null when somebody changed where the order stands, or what else the write checks.
   */
  async function onLatest<T>(
    taken: StoredRecord<'order'>,
    { signal }: KeptLease,
    write: (latest: StoredRecord<'order'>) => Promise<T>,
  ): Promise<T | null> {
    try {
      return await retryOnConflict(
        async (conflict) => {
          const latest = conflict === null ? taken : await store.get('order', taken.id);
          return latest !== null && standsAs(latest.value, taken.value) ? write(latest) : null;
        },
        { kind: 'order', wait: (ms) => wait(ms, signal) },
      );
    } catch (error) {
      if (isAppError(error, 'revision_conflict') || isAppError(error, 'overloaded')) return null;
      throw error;
    }
  }

  function toolsFor(lease: KeptLease, taken: StoredRecord<'order'>): StepTools {
    /** As the store had it last, to this step's knowledge. */
    let stored = taken;
    return {
      lease,
      async write(record, outcome) {
        return onLatest(stored, lease, async (latest) => {
          const { write, value } = writeOf(stored, latest, outcome, lease);
          const { number } = await commit(store, write);
          stored = { ...record, revision: number, value };
          return stored;
        });
      },
      async spend(issuer, record, build) {
        return onLatest(stored, lease, async (latest) => {
          let written = latest.value;
          const outcome = await ledger.spend(issuer, async () => {
            const built = await build();
            if (isRefusal(built)) return built;
            const { write, value } = writeOf(stored, latest, built, lease);
            written = value;
            return write;
          });
          if (isRefusal(outcome)) return outcome;
          stored = { ...record, revision: outcome.number, value: written };
          return stored;
        });
      },
    };
  }

  return { run };
}
