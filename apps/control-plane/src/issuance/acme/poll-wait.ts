import type { OrderRecord } from '@lockstep/contract';
import { IssuerFailure } from '../issuer.ts';

// Where the CA names no Retry-After. A CA takes a moment, rarely longer.
export const firstPollMs = 100;
const pollMs = 1_000;
const longestPollMs = 60_000;
/** An order that the CA has not finished by then is given up. */
const orderPatienceMs = 3_600_000;

/**
 * How long until the next look at an order that is the CA's to go on with: what the CA says, else longer and longer, so that orders which
 * a CA never finishes become dates, and neither keep the places of others nor ask it every second. Throws `IssuerFailure` after an hour.
 */
export function pollWaitMs(
  { beganAt }: Pick<OrderRecord, 'beganAt'>,
  retryAfterMs: number | null,
  now: number,
  leastMs: number = pollMs,
): number {
  const waitedMs = beganAt === null ? 0 : now - Date.parse(beganAt);
  if (waitedMs >= orderPatienceMs)
    throw new IssuerFailure('the CA has not finished the order within an hour', { kind: 'unavailable' });
  if (retryAfterMs !== null && retryAfterMs > 0) return Math.min(retryAfterMs, orderPatienceMs);
  return Math.min(longestPollMs, Math.max(leastMs, waitedMs / 10));
}
