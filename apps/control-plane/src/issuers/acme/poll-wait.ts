import type { OrderRecord } from '@lockstep/contract';
import { IssuerFailure } from '../issuer.ts';

// Where the CA names no Retry-After. It takes a moment, rarely longer.
export const firstPollMs = 100;
const pollMs = 1_000;
const slowestPollMs = 60_000;
/** A CA that wants to be asked later than this is not waited for as one that is about to answer: another issuer may be quicker. */
const longestPollMs = 600_000;
/** An order that the CA has not finished by then is left for the next issuer. */
const orderPatienceMs = 3_600_000;

/**
 * How long until the CA is asked again for an order that it works on: what its Retry-After says (RFC 8555, section 7.5.1), else ever more
 * rarely, so that a CA which never answers keeps no place from orders that go on. Throws `IssuerFailure` when that takes too long.
 */
export function pollWait(
  { orderedAt }: Pick<OrderRecord, 'orderedAt'>,
  retryAfterMs: number | null,
  now: number,
  leastMs: number = pollMs,
): number {
  const waitedMs = orderedAt === null ? 0 : now - Date.parse(orderedAt);
  if (retryAfterMs !== null && retryAfterMs > longestPollMs) {
    const minutes = Math.ceil(retryAfterMs / 60_000);
    throw new IssuerFailure(`the CA works on the order, and wants to be asked again in ${minutes} minutes`, {
      kind: 'unavailable',
      retryAfterMs,
    });
  }
  if (waitedMs >= orderPatienceMs)
    throw new IssuerFailure('the CA has not finished the order within an hour', {
      kind: 'unavailable',
      retryAfterMs,
    });
  return retryAfterMs || Math.min(slowestPollMs, Math.max(leastMs, waitedMs / 10));
}
