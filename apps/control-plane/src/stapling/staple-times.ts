const minuteMs = 60_000;
const longestRetryMs = 6 * 3_600_000;

/**
 * When to fetch the next response: at half of this one's life, give or take a tenth of it so that a fleet's fetches spread, and
 * not within the next minute, whatever dates a responder gives. All in milliseconds since 1970.
 */
export function refreshAt(
  { thisUpdate, nextUpdate }: { thisUpdate: number; nextUpdate: number },
  now: number,
  random: () => number = Math.random,
): number {
  const share = 0.45 + random() * 0.1;
  return Math.max(now + minuteMs, Math.round(thisUpdate + (nextUpdate - thisUpdate) * share));
}

/** How long to wait after the `failures`-th failure in a row: doubling from a minute, jittered by a fifth, at most six hours. */
export function retryMs(failures: number, random: () => number = Math.random): number {
  const base = Math.min(longestRetryMs, minuteMs * 2 ** Math.min(failures - 1, 20));
  return Math.min(longestRetryMs, Math.round(base * (0.8 + random() * 0.4)));
}
