import type { Boundary } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { sweepDue } from '../changes/sweep-due.ts';

/** For so long those that have expired are listed, so that whoever wonders why one is refused finds it. */
export const expiredKeptMs = 30 * 86_400_000;
const sweepEveryMs = 3_600_000;

/** Deletes tokens that expired long ago. */
export interface ExpiredTokens {
  /** Looks now; tells how many were deleted. */
  sweep(): Promise<number>;
  close(): void;
}

export interface ExpiredTokensOptions {
  store: ConfigStore;
  boundary: Boundary;
  now?: () => number;
}

export function createExpiredTokens({
  store,
  boundary,
  now = Date.now,
}: ExpiredTokensOptions): ExpiredTokens {
  const stop = new AbortController();
  const sweep = () =>
    sweepDue({ store, kind: 'token', beside: 'token-use', now: now(), signal: stop.signal });
  const timer = setInterval(() => {
    sweep().catch((error: unknown) => boundary.note('tokens', error));
  }, sweepEveryMs).unref();
  return {
    sweep,
    close() {
      stop.abort();
      clearInterval(timer);
    },
  };
}
