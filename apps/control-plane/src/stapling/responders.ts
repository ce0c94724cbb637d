import { retryMs } from './staple-times.ts';

/** So many failures in a row, of whichever certificates, and a responder is taken to be down. */
const patience = 3;
const longestRestMs = 3_600_000;

/**
 * Which responders are down, as this process found. Without it, each certificate of a dead responder would hold a place for a
 * whole time-out, and those of a live one would wait behind them.
 */
export function createResponders(now: () => number) {
  const failing = new Map<string, { failures: number; until: number }>();
  return {
    isDown(url: string): boolean {
      return (failing.get(originOf(url))?.until ?? 0) > now();
    },
    answered(url: string): void {
      failing.delete(originOf(url));
    },
    failed(url: string): void {
      const failures = (failing.get(originOf(url))?.failures ?? 0) + 1;
      const restMs = failures < patience ? 0 : Math.min(longestRestMs, retryMs(failures - patience + 1));
      failing.set(originOf(url), { failures, until: now() + restMs });
    },
  };
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}
