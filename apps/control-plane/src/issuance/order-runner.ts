import { setTimeout as delay } from 'node:timers/promises';
import { isAppError, type OrderRecord, recordKey, type StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { isInterruption, type KeptLease, keepLease } from '../changes/kept-lease.ts';
import { commit } from '../changes/writes.ts';
import type { Ledger } from '../issuers/ledger/ledger.ts';
import { goesOn, isPlaced, isWaitedFor } from '../orders/order-record.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { iso } from '../time/iso.ts';
import type { LoopShare } from '../time/loop-share.ts';
import { orAbort } from '../time/or-abort.ts';
import { withdrawChallenge } from './attempt-outcomes.ts';
import type { Attempts } from './attempts.ts';
import { backOffMs } from './back-off.ts';
import { readHostContext } from './host-context.ts';
import type { Renewals } from './renewals.ts';
import { createStepTools, type Outcome, type StepTools, shortWaitMs } from './step-tools.ts';

export const orderLeaseMs = 10_000;

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
  settings: Pick<SettingsSource, 'refresh'>;
  attempts: Attempts;
  renewals: Renewals;
  share?: LoopShare | undefined;
  now?: () => number;
  /** Spends a short wait; rejects when the signal aborts. */
  wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export function createOrderRunner(options: OrderRunnerOptions): OrderRunner {
  const { store, ledger, settings, attempts, renewals, share, now = Date.now } = options;
  const { wait = (ms, signal) => delay(ms, undefined, { signal }) } = options;

  async function run(id: string, signal: AbortSignal): Promise<boolean> {
    const granted = await store.acquireLease(recordKey('order', id), orderLeaseMs);
    if (granted === null) return false;
    const lease = keepLease(store, granted, signal, orderLeaseMs);
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
    let record = await store.get('order', id);
    while (record !== null && isDue(record) && !lease.signal.aborted) {
      await share?.turn(isWaitedFor(record.value, now()) ? 'waited' : 'orders');
      const tools = createStepTools({ store, ledger, now, wait }, lease, record);
      const outcome = await guardedStep(record, tools);
      if (outcome === null) return;
      const { order, waitMs = 0 } = outcome;
      if (waitMs > shortWaitMs || !goesOn(record.value, order)) return;
      if (waitMs > 0) await wait(waitMs, lease.signal);
      // Who changes it meanwhile is noticed by the next write.
      record = (waitMs > 0 ? null : tools.written()) ?? (await store.get('order', id));
    }
  }

  function isDue({ value }: StoredRecord<'order'>): boolean {
    return value.dueAt !== null && (isPlaced(value) || Date.parse(value.dueAt) <= now());
  }

  /** What went wrong in a step and is nobody's answer (a fault in this program) still leaves a date, or it would come again at once, without end. */
  async function guardedStep(record: StoredRecord<'order'>, tools: StepTools): Promise<Outcome | null> {
    try {
      return await step(record, tools);
    } catch (error) {
      if (tools.lease.signal.aborted || isInterruption(error)) throw error;
      if (isAppError(error, 'revision_conflict')) return { order: record.value };
      await tools.write({ order: postponed(record.value, error) });
      throw error;
    }
  }

  /** Takes the step that is due, and writes what came of it. Null when nothing is left to do now. */
  async function step(record: StoredRecord<'order'>, tools: StepTools): Promise<Outcome | null> {
    const { unusedSince, step } = record.value;
    if (unusedSince !== null) return drop(record, tools);
    const begins = step === 'idle';
    const [context] = await Promise.all([
      readHostContext(store, record),
      begins ? settings.refresh() : undefined,
    ]);
    if (!begins) return attempts.resume(record, context, tools);
    return (
      (await renewals.next(record, context.certificate, tools)) ?? attempts.begin(record, context, tools)
    );
  }

  /** The end of the grace time: nothing needs the certificate, unless a route came to name its host again. */
  async function drop(record: StoredRecord<'order'>, tools: StepTools): Promise<Outcome | null> {
    const { id, revision, value } = record;
    const holders = await store.findClaims(`${value.host} `, 1);
    if (holders.length > 0) return tools.write({ order: { ...value, unusedSince: null } });
    await attempts.cleanUp(value);
    const kinds = ['certificate', 'order', 'attempts', 'staple'] as const;
    await commit(store, {
      by: { kind: 'coordinator' },
      cause: revision,
      lease: tools.lease.current(),
      checks: [{ kind: 'order', id, revision }],
      changes: [...kinds.map((kind) => ({ op: 'delete', kind, id }) as const), ...withdrawChallenge(value)],
    });
    return null;
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

  return { run };
}
