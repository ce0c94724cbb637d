import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AppError,
  isAppError,
  type LastError,
  type OrderRecord,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import { checkChain, type Sealer } from '@lockstep/pki';
import type { Change, ConfigStore, Lease } from '@lockstep/store';
import type { Logger } from 'pino';
import { commitSurely } from '../commit-surely.ts';
import { backOffMs } from './back-off.ts';
import { type Issuer, IssuerFailure } from './issuer.ts';
import { putOrder, resetOrder } from './order-record.ts';
import { renewalDate } from './renewal.ts';

export const orderLeaseMs = 15_000;
/** A wait up to this long is spent holding the lease; a longer one becomes a date in the store. */
const shortWaitMs = 1_000;
/** A Retry-After beyond this is not taken at its word. */
const longestWaitMs = 86_400_000;

export interface OrderRunner {
  /**
   * Takes the order of certificate `id` as far as it goes now, under its lease. False when another control plane holds it. Every
   * outcome, a failure too, is written down before this returns; only an unreachable store makes it throw.
   */
  run(id: string, signal: AbortSignal): Promise<boolean>;
}

export interface OrderRunnerOptions {
  store: ConfigStore;
  sealer: Sealer;
  /** In the order in which they are tried. */
  issuers: Issuer[];
  log: Logger;
  now?: () => number;
}

/** What to write after a step, and whether to go straight on. */
interface Outcome {
  order: OrderRecord;
  changes: Change[];
  waitMs: number | null;
}

export function createOrderRunner({
  store,
  sealer,
  issuers,
  log,
  now = Date.now,
}: OrderRunnerOptions): OrderRunner {
  async function run(id: string, signal: AbortSignal): Promise<boolean> {
    const granted = await store.acquireLease(recordKey('order', id), orderLeaseMs);
    if (granted === null) return false;
    const held = keepLease(granted, signal);
    try {
      let record = await dueOrder(id);
      while (record !== null && !held.signal.aborted) {
        const outcome =
          record.value.unusedSince === null ? await advance(record, held.signal) : await drop(record);
        if (outcome === null) return true;
        if (!(await write(record, outcome, held.lease()))) {
          record = await dueOrder(id);
          continue;
        }
        if (outcome.waitMs === null) return true;
        if (outcome.waitMs > 0) await delay(outcome.waitMs, undefined, { signal: held.signal });
        record = await dueOrder(id);
      }
      return true;
    } catch (error) {
      if (held.signal.aborted || isAppError(error, 'lease_lost')) return true;
      throw error;
    } finally {
      held.stop();
      await store
        .releaseLease(held.lease())
        .catch((error: unknown) => log.debug({ err: error }, 'could not release a lease'));
    }
  }

  function keepLease(first: Lease, outer: AbortSignal) {
    let lease = first;
    const lost = new AbortController();
    const timer = setInterval(() => {
      store.renewLease(lease, orderLeaseMs).then(
        (renewed) => {
          lease = renewed;
        },
        (error: unknown) => {
          if (isAppError(error, 'lease_lost')) lost.abort(error);
        },
      );
    }, orderLeaseMs / 3);
    return {
      lease: () => lease,
      signal: AbortSignal.any([outer, lost.signal]),
      stop: () => clearInterval(timer),
    };
  }

  async function dueOrder(id: string): Promise<StoredRecord<'order'> | null> {
    const record = await store.get('order', id);
    if (record === null || record.value.dueAt === null) return null;
    return Date.parse(record.value.dueAt) <= now() ? record : null;
  }

  async function advance({ id, value }: StoredRecord<'order'>, signal: AbortSignal): Promise<Outcome> {
    const issuer = issuers.find(({ name }) => name === value.issuer) ?? issuers[0];
    if (issuer === undefined) throw new AppError('bad_configuration', 'there is no issuer');
    const order = value.issuer === issuer.name ? value : resetOrder(value, { issuer: issuer.name });
    try {
      const step = await issuer.advance(id, order, signal);
      if (step.outcome === 'issued') return issued(id, order, issuer, step.chain, step.keyPem);
      const waitMs = Math.min(step.waitMs ?? 0, longestWaitMs);
      const long = waitMs > shortWaitMs;
      return {
        order: { ...order, ...step.order, lastError: null, dueAt: at(long ? now() + waitMs : now()) },
        changes: step.changes ?? [],
        waitMs: long ? null : waitMs,
      };
    } catch (error) {
      if (signal.aborted || isAppError(error, 'store_unavailable') || isAppError(error, 'store_lost'))
        throw error;
      return failed(id, order, issuer, error);
    }
  }

  function issued(id: string, order: OrderRecord, issuer: Issuer, chain: string, keyPem: string): Outcome {
    const facts = checkChain({ chain, keyPem, host: order.host, now: now() });
    const { serialNumber, fingerprint256, notBefore, notAfter } = facts;
    const sealedKey = sealer.seal(keyPem, recordKey('certificate', id));
    const value = {
      host: order.host,
      issuer: issuer.name,
      chain,
      sealedKey,
      serialNumber,
      fingerprint256,
      notBefore,
      notAfter,
      issuedAt: at(now()),
    };
    log.info({ certificate: id, issuer: issuer.name, notAfter }, 'certificate issued');
    return {
      order: resetOrder(order, {
        failures: 0,
        lastError: null,
        dueAt: at(renewalDate(Date.parse(notBefore), Date.parse(notAfter))),
      }),
      changes: [{ op: 'put', kind: 'certificate', id, value }, ...withdrawChallenge(order)],
      waitMs: null,
    };
  }

  /** On to the next issuer of the chain at once, or, after the last, back to the first after a while. */
  function failed(id: string, order: OrderRecord, issuer: Issuer, error: unknown): Outcome {
    const failure =
      error instanceof IssuerFailure ? error : new IssuerFailure(sentenceOf(error), { cause: error });
    const lastError: LastError = {
      detail: failure.message,
      issuer: issuer.name,
      step: order.step,
      type: failure.type,
      at: at(now()),
    };
    const next = issuers[issuers.indexOf(issuer) + 1];
    log.warn({ certificate: id, issuer: issuer.name, step: order.step, err: failure }, 'an attempt failed');
    if (next !== undefined) {
      const order2 = resetOrder(order, { issuer: next.name, lastError, dueAt: at(now()) });
      return { order: order2, changes: withdrawChallenge(order), waitMs: 0 };
    }
    const failures = order.failures + 1;
    const dueAt = at(
      now() + Math.max(Math.min(failure.retryAfterMs ?? 0, longestWaitMs), backOffMs(failures)),
    );
    const resumable = failure.resumable && order.orderUrl !== null;
    return {
      order: resumable
        ? { ...order, failures, lastError, dueAt }
        : resetOrder(order, { failures, lastError, dueAt }),
      changes: resumable ? [] : withdrawChallenge(order),
      waitMs: null,
    };
  }

  /** The end of the grace time: nothing needs the certificate, unless a route came to name its host again. */
  async function drop({ id, revision, value }: StoredRecord<'order'>): Promise<Outcome | null> {
    const holders = await store.findClaims(`${value.host} `, 1);
    if (holders.length > 0) return { order: { ...value, unusedSince: null }, changes: [], waitMs: 0 };
    await commitSurely(store, {
      id: randomUUID(),
      checks: [{ kind: 'order', id, revision }],
      changes: [
        { op: 'delete', kind: 'certificate', id },
        { op: 'delete', kind: 'order', id },
        ...withdrawChallenge(value),
      ],
    });
    return null;
  }

  /** False when somebody changed the order meanwhile. */
  async function write(
    { id, revision }: StoredRecord<'order'>,
    { order, changes }: Outcome,
    lease: Lease,
  ): Promise<boolean> {
    try {
      await commitSurely(store, {
        id: randomUUID(),
        lease,
        checks: [{ kind: 'order', id, revision }],
        changes: [putOrder(id, order), ...changes],
      });
      return true;
    } catch (error) {
      if (isAppError(error, 'revision_conflict')) return false;
      throw error;
    }
  }

  return { run };
}

function withdrawChallenge({ challengeId }: OrderRecord): Change[] {
  return challengeId === null ? [] : [{ op: 'delete', kind: 'challenge', id: challengeId }];
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function at(ms: number): string {
  return new Date(ms).toISOString();
}
