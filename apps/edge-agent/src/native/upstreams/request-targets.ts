import type { FailureCause } from './failure-cause.ts';
import type { RetryBudget, RetryReason } from './retry-budget.ts';
import type { StickyCookie } from './sticky-cookie.ts';
import type { UpstreamChoice } from './upstream-choice.ts';
import type { UpstreamMember } from './upstream-member.ts';
import type { UpstreamLimits, UpstreamPool } from './upstream-pool.ts';

/** Whom a request may be sent to. */
export interface RequestTargets {
  readonly upstreams: readonly UpstreamPool[];
  /** By their places, the Host that each receives in place of the client's; null where none does. */
  readonly hosts: readonly (string | null)[] | null;
  readonly choice: UpstreamChoice;
  /** By their places, what is counted and known of each; null where the choice goes by nothing of it. */
  readonly members: readonly UpstreamMember[] | null;
  readonly sticky: StickyCookie | null;
  /** Null: what failed is not repeated, save what could not be sent. */
  readonly retries: RetryBudget | null;
  /** Called for each repeat, and for one that there was no budget for. */
  onRepeat(reason: RetryReason | 'no_budget'): void;
  /** Of exchanges; a pool has its own for connections. */
  readonly limits: () => UpstreamLimits;
  /** How long a request may take until its answer is complete. */
  readonly totalMs: number | null;
  /** Called for whatever keeps an answer, or a part of it, from whoever takes it. */
  onFailure(cause: FailureCause, upstream: string | null, error: unknown): void;
}
