import { broughtIssuer } from '@lockstep/contract';
import type { ChangeHub } from '../changes/change-hub.ts';

const windowMs = 60_000;
const mostKept = 500;

/** How fast certificates are obtained of late, by whichever control plane. */
export interface IssuingPace {
  /** Certificates a second; null while there were not at least two of them in the last minute. */
  perSecond(): number | null;
  close(): void;
}

export function createIssuingPace({
  hub,
  now = Date.now,
}: {
  hub: Pick<ChangeHub, 'watch'>;
  now?: () => number;
}): IssuingPace {
  const moments: number[] = [];
  const close = hub.watch((entry) => {
    for (const change of entry?.changes ?? []) {
      if (change.op !== 'put' || change.kind !== 'certificate') continue;
      if (change.value.issuer === broughtIssuer) continue;
      moments.push(now());
      if (moments.length > mostKept) moments.shift();
    }
  });
  return {
    perSecond() {
      while (moments[0] !== undefined && moments[0] < now() - windowMs) moments.shift();
      const [first] = moments;
      if (first === undefined || moments.length < 2) return null;
      return (moments.length * 1_000) / Math.max(1, now() - first);
    },
    close,
  };
}
