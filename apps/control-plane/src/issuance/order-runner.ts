import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { isAppError, type OrderRecord, recordKey, type StoredRecord } from '@lockstep/contract';
import type { Commit, ConfigStore } from '@lockstep/store';
import { commitSurely } from '../commit-surely.ts';
import { iso } from '../iso.ts';
import { orAbort } from '../or-abort.ts';
import { backOffMs } from './back-off.ts';
import { isInterruption } from './interruption.ts';
import { isRefusal, type Ledger } from './ledger/ledger.ts';
import { type KeptLease, keepLease, orderLeaseMs } from './order-lease.ts';
import { completeOrder, laneOf, putOrder } from './order-record.ts';
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
  now?: () => number;
  /** Spends a short wait; rejects when the signal aborts. */
  wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export function createOrderRunner({
  store,
  ledger,
  steps,
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
    const tools = toolsFor(lease);
    let record = await dueOrder(id);
    while (record !== null && !lease.signal.aborted) {
      const outcome = await nextOf(record, tools);
      if (outcome === null) return;
      if (outcome.waitMs > shortWaitMs || laneOf(outcome.order) !== laneOf(record.value)) return;
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
    if (Date.parse(record.value.dueAt) > now()) return null;
    return { ...record, value: completeOrder(record.value) };
  }

  function commitOf(
    { id, revision }: StoredRecord<'order'>,
    { order, changes, checks = [], waitMs }: Outcome,
    lease: KeptLease,
  ): { commit: Commit; value: OrderRecord } {
    // Short waits are not dates: whoever takes over goes on at once.
    const dueAt = waitMs > shortWaitMs ? iso(now() + waitMs) : order.dueAt;
    const value: OrderRecord = { ...order, dueAt };
    const commit: Commit = {
      id: randomUUID(),
      lease: lease.current(),
      checks: [{ kind: 'order', id, revision }, ...checks],
      changes: [putOrder(id, value), ...changes],
    };
    return { commit, value };
  }

  function toolsFor(lease: KeptLease): StepTools {
    return {
      lease,
      async write(record, outcome) {
        const { commit, value } = commitOf(record, outcome, lease);
        return unlessChanged(async () => {
          const { number } = await commitSurely(store, commit);
          return { ...record, revision: number, value };
        });
      },
      async spend(issuer, record, build) {
        let written = record.value;
        return unlessChanged(async () => {
          const outcome = await ledger.spend(issuer, async () => {
            const built = await build();
            if (isRefusal(built)) return built;
            const { commit, value } = commitOf(record, built, lease);
            written = value;
            return commit;
          });
          return isRefusal(outcome) ? outcome : { ...record, revision: outcome.number, value: written };
        });
      },
    };
  }

  return { run };
}

/** Null when somebody changed the record meanwhile. */
async function unlessChanged<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (isAppError(error, 'revision_conflict')) return null;
    throw error;
  }
}
