import type { OrderRecord, RenewalReason, RenewalWindow } from '@lockstep/contract';
import { expiresSoonFrom } from '../certificates/certificate-record.ts';
import { renewalDate } from '../certificates/renewal-date.ts';

const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

/** Where a CA's answer on renewal cannot be had, it is asked again then (RFC 9773, section 4.3.3 allows up to 6 h). */
export const ariRetryMs = hourMs;

/**
 * When to renew a certificate that was issued just now: never before a third of what is left of it, wherever its dates (backdated by
 * the CA, or seen by a clock that is wrong) lie. Or it would be renewed at once, without end.
 */
export function firstRenewalDate(
  notBefore: number,
  notAfter: number,
  now: number,
  random: () => number = Math.random,
): number {
  const earliest = now + Math.max(60_000, (notAfter - now) / 3);
  return Math.round(Math.max(renewalDate(notBefore, notAfter, random), earliest));
}

/** A random moment in the window the CA suggests; a moment already past means now (RFC 9773, section 4.2). */
export function dateInWindow({ start, end }: RenewalWindow, random: () => number = Math.random): number {
  const from = Date.parse(start);
  return Math.round(from + (Date.parse(end) - from) * random());
}

/** A CA's Retry-After, kept between a minute and a day (RFC 9773, section 4.3.2). */
export function ariCheckDelay(retryAfterMs: number | null): number {
  return Math.min(dayMs, Math.max(60_000, retryAfterMs ?? 6 * hourMs));
}

/** Why a renewal that failed is tried again at `at`: it presses once the certificate expires soon, and no more when it is too late. */
export function pressingReason(
  reason: RenewalReason,
  certificate: { notBefore: string; notAfter: string },
  at: number,
): RenewalReason {
  if (Date.parse(certificate.notAfter) <= at) return 'due';
  return reason !== 'revoked' && expiresSoonFrom(certificate) <= at ? 'expiring' : reason;
}

export type Plan =
  | { do: 'obtain' }
  /** Its turn to be renewed has come: it goes to the queue for that. */
  | { do: 'renew'; reason: RenewalReason }
  /** `until`: what else there is to do has its date then. */
  | { do: 'ask'; renewAt: number; until: number }
  /** The record of dns-persist-01 that the next renewal needs is looked at. */
  | { do: 'look'; renewAt: number; until: number }
  | { do: 'wait'; renewAt: number; until: number };

/** What is to be done about a host with nothing under way. */
export function planUpkeep(
  order: OrderRecord,
  certificate: { notBefore: string; notAfter: string } | null,
  now: number,
): Plan {
  if (certificate === null || order.renewal !== null) return { do: 'obtain' };
  const { notBefore, notAfter } = certificate;
  const renewAt =
    order.renewAt === null
      ? renewalDate(Date.parse(notBefore), Date.parse(notAfter))
      : Date.parse(order.renewAt);
  if (renewAt <= now)
    return { do: 'renew', reason: expiresSoonFrom(certificate) <= now ? 'expiring' : 'due' };
  const askAt = order.ari === null ? Number.POSITIVE_INFINITY : Date.parse(order.ari.checkAt);
  const lookAt = order.persist == null ? Number.POSITIVE_INFINITY : Date.parse(order.persist.lookAt);
  if (lookAt <= now) return { do: 'look', renewAt, until: Math.min(renewAt, askAt) };
  const until = Math.min(renewAt, lookAt);
  if (askAt <= now) return { do: 'ask', renewAt, until };
  return { do: 'wait', renewAt, until: Math.min(until, askAt) };
}
