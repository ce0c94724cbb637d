import type { LimitState, Limits, Position } from '@lockstep/contract';
import type { Change, Check, PageRequest } from '@lockstep/store';
import type { Write } from '../../changes/writes.ts';

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
 * Which limits an order is free of. `true`: a renewal inside its ARI window, which CAs do not count. `'renewal'`: any other renewal
 * of the same names, which Let's Encrypt counts neither as an order of the account nor for the domain. A pause always counts.
 */
export type Exemption = boolean | 'renewal';

/**
 * What each issuer's account has spent of its CA's limits, in token buckets in the store. An entry is committed before the CA is
 * asked, so the fleet never sends more than the limits allow, however many control planes it has and wherever one dies.
 */
export interface Ledger {
  /** What one order for the host spends. From `bulk`, a share of what all hosts have together is kept for hosts whose caller waits. */
  spendOrder(
    issuer: string,
    limits: Limits | null,
    host: string,
    exempt: Exemption,
    bulk?: boolean,
  ): Promise<LedgerEntry | LedgerRefusal>;
  /** An authorization for the host failed, and its order with it: no certificate comes of that, so none is counted. */
  failAuthorization(
    issuer: string,
    limits: Limits | null,
    host: string,
    exempt?: Exemption,
  ): Promise<LedgerEntry>;
  /** The order ended without a certificate for another reason: none is counted. The order itself stays counted. */
  giveBack(issuer: string, limits: Limits | null, host: string, exempt?: Exemption): Promise<LedgerEntry>;
  /** The host was certified: its failures in a row are over. */
  succeed(issuer: string, limits: Limits | null, host: string): Promise<LedgerEntry>;
  /** The CA asked to be left alone until then: `''` for all of the account, or for what `pauseKey` says. Never shortens a pause. */
  pause(issuer: string, until: number, key?: string): Promise<LedgerEntry>;
  /** What is left, of each bucket that was spent from and is not full again, by its id. */
  states(
    issuer: string,
    limits: Limits | null,
    page: PageRequest,
  ): Promise<{ retryAt: string | null; items: LimitState[]; next: string | null }>;
  /**
   * Commits what `build` makes of entries of this ledger and changes of the caller's own. When another spent from the same bucket
   * meanwhile, it builds anew; every other conflict is the caller's and is thrown. A refusal that
   * `build` gives instead comes back, and nothing is committed.
   */
  spend(issuer: string, build: () => Promise<Write | LedgerRefusal>): Promise<Position | LedgerRefusal>;
  /** Deletes buckets that are full again and pauses that are over; to be called every minute or so. Tells how many went. */
  sweep(signal: AbortSignal): Promise<number>;
}

export function isRefusal(outcome: object): outcome is LedgerRefusal {
  return 'until' in outcome;
}
