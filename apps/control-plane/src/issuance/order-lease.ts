import { AppError, isAppError } from '@lockstep/contract';
import type { ConfigStore, Lease } from '@lockstep/store';

export const orderLeaseMs = 10_000;

/** A lease kept up while work goes on under it. */
export interface KeptLease {
  current(): Lease;
  /** Aborts when the lease is lost, or with the caller's signal. */
  readonly signal: AbortSignal;
  /** Throws `lease_lost` when the lease may have run out by now: before anything that must not be done without it. */
  check(): void;
  /** Stops keeping it up, and hands it over. */
  release(): Promise<void>;
}

/**
 * Keeps a lease up until it is released. The store has the last word on who holds it; a process that stood still for longer than the lease
 * lasts knows by its own clock that it may have lost it.
 */
export function keepLease(
  store: Pick<ConfigStore, 'renewLease' | 'releaseLease'>,
  first: Lease,
  outer: AbortSignal,
  ttlMs: number = orderLeaseMs,
): KeptLease {
  let lease = first;
  let renewedAt = performance.now();
  const lost = new AbortController();
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
    signal: AbortSignal.any([outer, lost.signal]),
    check() {
      if (lost.signal.aborted) throw lost.signal.reason;
      if (performance.now() - renewedAt < ttlMs) return;
      const error = new AppError('lease_lost', `the lease "${lease.name}" was not renewed in time`);
      lost.abort(error);
      throw error;
    },
    async release() {
      clearInterval(timer);
      await store.releaseLease(lease).catch(() => {}); // it runs out by itself
    },
  };
}
