import { AppError, isAppError } from '@lockstep/contract';
import type { ConfigStore, Lease } from '@lockstep/store';

/** A lease kept up while work goes on under it. */
export interface KeptLease {
  current(): Lease;
  /** Aborts when the lease is lost, or with the caller's signal. */
  readonly signal: AbortSignal;
  /** Throws `lease_lost` when the lease may have run out by now: before anything that must not be done without it. */
  check(): void;
  /** Work that must not be broken off half-way: its signal aborts three seconds after the lease's, and `release` waits for it. */
  finishing<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Stops keeping it up, and hands it over. */
  release(): Promise<void>;
}

const finishingMs = 3_000;

/**
 * Keeps a lease up until it is released. The store has the last word on who holds it; a process that stood still for longer than the lease
 * lasts knows by its own clock that it may have lost it.
 */
export function keepLease(
  store: Pick<ConfigStore, 'renewLease' | 'releaseLease'>,
  first: Lease,
  outer: AbortSignal,
  ttlMs: number,
): KeptLease {
  let lease = first;
  let renewedAt = performance.now();
  const lost = new AbortController();
  const signal = AbortSignal.any([outer, lost.signal]);
  const unfinished = new Set<Promise<unknown>>();
  const timer = setInterval(() => {
    const askedAt = performance.now();
    store.renewLease(lease, ttlMs).then(
      (renewed) => {
        lease = renewed;
        renewedAt = askedAt;
      },
      (error: unknown) => {
        if (isAppError(error, 'lease_lost')) lost.abort(error);
      },
    );
  }, ttlMs / 3);
  return {
    current: () => lease,
    signal,
    check() {
      if (lost.signal.aborted) throw lost.signal.reason;
      if (performance.now() - renewedAt < ttlMs) return;
      const error = new AppError('lease_lost', `the lease "${lease.name}" was not renewed in time`);
      lost.abort(error);
      throw error;
    },
    async finishing(work) {
      signal.throwIfAborted();
      const late = new AbortController();
      let deadline: NodeJS.Timeout | undefined;
      const onAbort = () => {
        deadline = setTimeout(() => late.abort(signal.reason), finishingMs);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const running = work(late.signal);
      unfinished.add(running);
      try {
        return await running;
      } finally {
        unfinished.delete(running);
        clearTimeout(deadline);
        signal.removeEventListener('abort', onAbort);
      }
    },
    async release() {
      await Promise.allSettled(unfinished);
      clearInterval(timer);
      await store.releaseLease(lease).catch(() => {}); // it runs out by itself
    },
  };
}

/** The store or the lease failed, not the order: nothing can be written down, and whoever takes it up next goes on from where it stands. */
export function isInterruption(error: unknown): boolean {
  return (['store_unavailable', 'store_lost', 'lease_lost'] as const).some((code) => isAppError(error, code));
}
