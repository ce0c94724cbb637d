/**
 * How durations are counted, so that what processes and edges count can be added up: two buckets for each doubling, from a tenth of a millisecond
 * to three minutes and a half. What is read of them is at most a fifth off.
 */
export const durationBuckets = 43;
const leastMs = 0.1;
const perDoubling = 2;

/** The bucket of a duration; whatever is longer is in the last one. */
export function durationBucket(ms: number): number {
  if (!(ms > leastMs)) return 0;
  return Math.min(Math.ceil(perDoubling * Math.log2(ms / leastMs)), durationBuckets - 1);
}

/** The longest duration that a bucket counts, in milliseconds. */
export function durationBoundMs(bucket: number): number {
  return leastMs * 2 ** (bucket / perDoubling);
}

/** What a share of the durations does not go beyond, as a number of milliseconds; null without any. */
export function durationQuantile(counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const wanted = share * total;
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count > 0 && below + count >= wanted) {
      const from = bucket === 0 ? 0 : durationBoundMs(bucket - 1);
      const ms = from + (durationBoundMs(bucket) - from) * ((wanted - below) / count);
      return Math.round(ms * 1_000) / 1_000;
    }
    below += count;
  }
  return durationBoundMs(durationBuckets - 1);
}
