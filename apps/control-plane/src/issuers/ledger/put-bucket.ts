import type { BucketRecord, Limit } from '@lockstep/contract';
import type { Change } from '@lockstep/store';

/** Fractions add up inexactly: this much below a whole token counts as one. */
const tolerance = 1e-6;

/** The whole tokens in a bucket. One that does not exist is full. */
export function wholeTokens(bucket: BucketRecord | null, limit: Limit, now: number): number {
  return Math.floor(tokensIn(bucket, limit, now) + tolerance);
}

/**
 * When there is the next whole token, in milliseconds since 1970; null while the bucket is full. With `kept`: when there is the first
 * one beside those.
 */
export function nextTokenAt(bucket: BucketRecord | null, limit: Limit, now: number, kept = 0): number | null {
  const tokens = tokensIn(bucket, limit, now);
  if (bucket === null || tokens >= limit.count - tolerance) return null;
  const missing = Math.max(Math.floor(tokens + tolerance), kept) + 1 - tokens;
  return Math.ceil(Math.max(now, bucket.at) + missing * refillMs(limit));
}

/** The bucket with `amount` tokens fewer, never below none; a negative amount puts tokens in, never above the count. */
export function takeTokens(
  bucket: BucketRecord | null,
  limit: Limit,
  now: number,
  amount: number,
): BucketRecord {
  const tokens = tokensIn(bucket, limit, now) - amount;
  return { tokens: Math.min(limit.count, Math.max(0, tokens)), at: Math.max(now, bucket?.at ?? now) };
}

/** Writes a bucket, due when it is full again; a full one need not exist. */
export function putBucket(id: string, bucket: BucketRecord, limit: Limit): Change {
  const missing = limit.count - bucket.tokens;
  if (missing <= tolerance) return { op: 'delete', kind: 'bucket', id };
  const dueAt = Math.ceil(bucket.at + missing * refillMs(limit));
  return { op: 'put', kind: 'bucket', id, value: bucket, dueAt };
}

export function refillMs({ refillSeconds }: Limit): number {
  return refillSeconds * 1_000;
}

function tokensIn(bucket: BucketRecord | null, limit: Limit, now: number): number {
  if (bucket === null) return limit.count;
  // Another control plane's clock may be ahead of this one's.
  const refilled = Math.max(0, now - bucket.at) / refillMs(limit);
  return Math.min(limit.count, bucket.tokens + refilled);
}
