import { AppError } from '@lockstep/contract';
import type { WriteOrigin } from '../changes/writes.ts';

/** As many as a route has as a rule at most; fewer than there is room to ask for (`dns/dns-lookup.ts`), so that a silent DNS leaves some to others. */
const mostHosts = 100;

/** Looks for one party, who waits for them. Throws `rate_limited`. */
export type LookBound = <T>(
  by: Pick<WriteOrigin, 'by' | 'bounds'>,
  hosts: number,
  look: () => Promise<T>,
) => Promise<T>;

/**
 * Bounds how many hosts are looked at for one tenant, or for a token of none, at the same time: each takes some seconds where a DNS is
 * silent, and nobody's such names may take the place of what others ask.
 */
export function createLookBound({ most = mostHosts }: { most?: number } = {}): LookBound {
  const underWay = new Map<string, number>();

  return async ({ by, bounds }, hosts, look) => {
    const party = bounds?.tenant ?? (by.kind === 'token' ? ` ${by.id ?? by.name}` : ` ${by.kind}`);
    const before = underWay.get(party) ?? 0;
    if (before > 0 && before + hosts > most)
      throw new AppError(
        'rate_limited',
        `${before} hosts are being looked at for you, and it is up to ${most} at once; try again when there is an answer`,
        { facts: { retryAfterSeconds: 1 } },
      );
    underWay.set(party, before + hosts);
    try {
      return await look();
    } finally {
      const left = (underWay.get(party) ?? 0) - hosts;
      if (left > 0) underWay.set(party, left);
      else underWay.delete(party);
    }
  };
}
