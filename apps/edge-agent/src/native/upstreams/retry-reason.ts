import type { FailureCause } from './failure-cause.ts';
import type { RetryReason } from './retry-budget.ts';

const resets: ReadonlySet<FailureCause> = new Set<FailureCause>(['upstream_reset', 'upstream_closed']);
/** What a client would be told by a 502 or 504. */
const unanswered: ReadonlySet<FailureCause> = new Set<FailureCause>([
  'upstream_timeout_first_byte',
  'upstream_head_invalid',
  'upstream_body_invalid',
  'upstream_head_too_large',
  'upstream_coding_unsupported',
]);
/** What may be otherwise a moment later. Where there was no room, a moment later there is none either. */
const dialFailures: ReadonlySet<FailureCause> = new Set<FailureCause>([
  'upstream_name_not_found',
  'upstream_name_unresolved',
  'upstream_refused',
  'upstream_unreachable',
  'upstream_timeout_connect',
  'upstream_tls_failed',
  'upstream_reset',
  'upstream_closed',
]);

/** What a route calls a failure that may be gone at the next attempt; null for any other. */
export function retryReasonOf(cause: FailureCause, dialled: boolean): RetryReason | null {
  if (!dialled) return dialFailures.has(cause) ? 'connect' : null;
  if (resets.has(cause)) return 'reset';
  return unanswered.has(cause) ? '5xx' : null;
}
