import type { LimitState, Limits } from '@lockstep/contract';
import type { Change, Check } from '@lockstep/store';

/** Part of a commit: made together with the order's own change, or not at all. */
export interface LedgerEntry {
  checks: Check[];
  changes: Change[];
}

/** An order would break a limit: it may be sent at `until`, in milliseconds since 1970. `detail` is a sentence for an operator. */
export interface LedgerRefusal {
  until: number;
  detail: string;
}

/**
 * What each issuer's account has spent of its CA's limits, in token buckets in the store. An entry is committed before the CA is
 * asked, so the fleet never sends more than the limits allow, however many control planes it has and wherever one dies.
 */
export interface Ledger {
  /** What one order for the host spends. `exempt`: a renewal inside its ARI window, which CAs do not count; a pause still counts. */
  spendOrder(
    issuer: string,
    limits: Limits | null,
    host: string,
    exempt: boolean,
  ): Promise<LedgerEntry | LedgerRefusal>;
  /** An authorization for the host failed. */
  failAuthorization(issuer: string, limits: Limits | null, host: string): Promise<LedgerEntry>;
  /** The host was certified: its failures in a row are over. */
  succeed(issuer: string, limits: Limits | null, host: string): Promise<LedgerEntry>;
  /** The CA asked to be left alone until then. */
  pause(issuer: string, until: number): Promise<LedgerEntry>;
  /** What is left, of each bucket that was spent from, by its id. */
  states(
    issuer: string,
    limits: Limits | null,
    page: { limit: number; cursor?: string | undefined },
  ): Promise<{ retryAt: string | null; items: LimitState[]; next: string | null }>;
}

/** Commits under one `bucket` change at a time may conflict: read and try again. */
export function isRefusal(outcome: LedgerEntry | LedgerRefusal): outcome is LedgerRefusal {
  return 'until' in outcome;
}
