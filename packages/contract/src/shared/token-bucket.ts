/** So many at once, and one more each so many seconds. */
export interface BucketLimit {
  count: number;
  refillSeconds: number;
}

/** What was left when it was counted, in milliseconds since 1970. One that does not exist is full. */
export interface TokenBucket {
  tokens: number;
  at: number;
}

/** Fractions add up inexactly: this much below a whole token counts as one. */
const tolerance = 1e-6;

/** A burst of a minute's, then one at a time. */
export function perMinute(count: number): BucketLimit {
  return { count, refillSeconds: 60 / count };
}

export function refillMs({ refillSeconds }: BucketLimit): number {
  return refillSeconds * 1_000;
}

/** The whole tokens in a bucket. */
export function wholeTokens(bucket: TokenBucket | null, limit: BucketLimit, now: number): number {
  return Math.floor(tokensIn(bucket, limit, now) + tolerance);
}

/**
 * When there is the next whole token, in milliseconds since 1970; null while the bucket is full. With `kept`: when there is the first
 * one beside those.
 */
export function nextTokenAt(
  bucket: TokenBucket | null,
  limit: BucketLimit,
  now: number,
  kept = 0,
): number | null {
  const tokens = tokensIn(bucket, limit, now);
  if (bucket === null || tokens >= limit.count - tolerance) return null;
  const missing = Math.max(Math.floor(tokens + tolerance), kept) + 1 - tokens;
  return Math.ceil(Math.max(now, bucket.at) + missing * refillMs(limit));
}

/** When a bucket is full again, in milliseconds since 1970; null for one that is. */
export function fullAt({ tokens, at }: TokenBucket, limit: BucketLimit): number | null {
  const missing = limit.count - tokens;
  return missing <= tolerance ? null : Math.ceil(at + missing * refillMs(limit));
}

/** The bucket with `amount` tokens fewer, never below none; a negative amount puts tokens in, never above the count. */
export function takeTokens(
  bucket: TokenBucket | null,
  limit: BucketLimit,
  now: number,
  amount: number,
): TokenBucket {
  const tokens = tokensIn(bucket, limit, now) - amount;
  return { tokens: Math.min(limit.count, Math.max(0, tokens)), at: Math.max(now, bucket?.at ?? now) };
}

function tokensIn(bucket: TokenBucket | null, limit: BucketLimit, now: number): number {
  if (bucket === null) return limit.count;
  // Another process's clock may be ahead of this one's.
  const refilled = Math.max(0, now - bucket.at) / refillMs(limit);
  return Math.min(limit.count, bucket.tokens + refilled);
}
