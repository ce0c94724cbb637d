import type { Issuer, IssuerFailure } from '../issuers/interface/issuer.ts';

const restMs = 60_000;
const longestRestMs = 86_400_000;

/**
 * Which CAs give no renewal information for now, as this process found. Without it each of 100,000 certificates would ask a CA that is
 * down, and those of a CA that hangs would keep all the places in which renewals of the others are noticed.
 */
export interface AriRest {
  /** Until when the CA is left alone, in milliseconds since 1970. After a rest one may ask; the others wait for what comes of that. */
  until(issuer: Issuer): number | null;
  answered(issuer: Issuer): void;
  failed(issuer: Issuer, error: IssuerFailure): void;
}

export function createAriRest({ now }: { now: () => number }): AriRest {
  const rests = new WeakMap<Issuer, number>();
  return {
    until(issuer) {
      const until = rests.get(issuer);
      if (until === undefined) return null;
      if (until > now()) return until;
      rests.set(issuer, now() + restMs);
      return null;
    },
    answered(issuer) {
      rests.delete(issuer);
    },
    failed(issuer, { kind, retryAfterMs }) {
      if (kind !== 'unavailable' && kind !== 'limit') return;
      const waitMs = Math.min(longestRestMs, Math.max(restMs, retryAfterMs ?? 0));
      rests.set(issuer, Math.max(rests.get(issuer) ?? 0, now() + waitMs));
    },
  };
}
