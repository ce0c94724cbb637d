import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError, type Boundary, type StoredRecord } from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore, Lease } from '@lockstep/store';
import { keepLease } from '../changes/kept-lease.ts';
import { sweepDue } from '../changes/sweep-due.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import {
  createKeyedRequest,
  isForgotten,
  type KeptAnswer,
  type KeyedRequest,
  openOutcome,
} from './keyed-request.ts';

/** A control plane that dies holds a key for so long. */
const leaseMs = 6_000;
const shortestPauseMs = 50;
const longestPauseMs = 500;
const sweepEveryMs = 60_000;
/** Beyond, the oldest are forgotten before their day is over. */
const mostKeys = 100_000;

/** Whose key, which, and for which request. */
export interface KeyUse {
  by: WriteOrigin['by'];
  key: string;
  /** What tells the request from others: method, address and body. */
  request: string;
}

/** The answer to the same request before, or this one's turn to be worked on, until `end`. */
export type KeyTurn =
  | { answer: KeptAnswer }
  | { answer: null; keyed: KeyedRequest; signal: AbortSignal; end(): Promise<void> };

/** `Idempotency-Key`: what was made once is not made again, at whichever control plane it is asked for. */
export interface IdempotencyKeys {
  /**
   * Waits until nobody else works on the key; `onWait` is called before. Throws `idempotency_key_reused` for another request than the
   * key was for.
   */
  turn(use: KeyUse, signal: AbortSignal, onWait: () => void): Promise<KeyTurn>;
  /** Whether something was made under the key by now, be it answered or not. */
  isTaken(use: KeyUse): Promise<boolean>;
  close(): void;
}

export interface IdempotencyKeysOptions {
  store: ConfigStore;
  sealer: Sealer;
  boundary: Boundary;
  now?: () => number;
}

export function createIdempotencyKeys({
  store,
  sealer,
  boundary,
  now = Date.now,
}: IdempotencyKeysOptions): IdempotencyKeys {
  const stop = new AbortController();
  const timer = setInterval(() => {
    sweepDue({ store, kind: 'idempotency', now: now(), most: mostKeys, signal: stop.signal }).catch(
      (error: unknown) => boundary.note('idempotency', error),
    );
  }, sweepEveryMs).unref();

  async function read({ by, key, request }: KeyUse): Promise<StoredRecord<'idempotency'> | null> {
    const record = await store.get('idempotency', idOf(by, key));
    if (isKnown(record) && openOutcome(sealer, record).request !== digest(request)) throw reused(key);
    return record;
  }

  function isKnown(record: StoredRecord<'idempotency'> | null): record is StoredRecord<'idempotency'> {
    return record !== null && !isForgotten(record, now());
  }

  function answerOf(record: StoredRecord<'idempotency'> | null): KeptAnswer | null {
    return isKnown(record) ? openOutcome(sealer, record).answer : null;
  }

  async function begin(use: KeyUse, lease: Lease, signal: AbortSignal): Promise<KeyTurn> {
    const { by, key, request } = use;
    const kept = keepLease(store, lease, signal, leaseMs);
    try {
      const before = await read(use);
      const answer = answerOf(before);
      if (answer !== null) {
        await kept.release();
        return { answer };
      }
      const options = { store, sealer, now, by, id: idOf(by, key), request: digest(request), before };
      return { answer: null, keyed: createKeyedRequest(options), signal: kept.signal, end: kept.release };
    } catch (error) {
      await kept.release();
      throw error;
    }
  }

  return {
    async turn(use, signal, onWait) {
      const name = `idempotency/${idOf(use.by, use.key)}`;
      for (let pauseMs = shortestPauseMs; ; pauseMs = Math.min(pauseMs * 1.5, longestPauseMs)) {
        const lease = await store.acquireLease(name, leaseMs);
        if (lease !== null) return begin(use, lease, signal);
        if (pauseMs === shortestPauseMs) onWait();
        await delay(pauseMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
        if (signal.aborted)
          throw new AppError('shutting_down', 'the first request with this key is still under way');
        // Who is given the answer, or told that the key was for another request, needs no turn.
        const answer = answerOf(await read(use));
        if (answer !== null) return { answer };
      }
    },
    isTaken: async (use) => isKnown(await read(use)),
    close() {
      stop.abort();
      clearInterval(timer);
    },
  };
}

/** Keys are each caller's own. */
function idOf(by: WriteOrigin['by'], key: string): string {
  return digest(JSON.stringify([by, key]));
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

function reused(key: string): AppError {
  return new AppError(
    'idempotency_key_reused',
    `the Idempotency-Key "${key}" was used for another request within the last 24 hours; take a new one for each`,
  );
}
