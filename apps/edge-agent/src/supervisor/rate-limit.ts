import { perMinute as limitOf, type TokenBucket, takeTokens, wholeTokens } from '@lockstep/contract';
import { LRUCache } from 'lru-cache';

/** More keys than that within a minute, and the least recent get their allowance back early. */
const maxKeys = 100_000;

/** So many a minute for each key, as a token bucket. The limit may change from call to call. */
export interface RateLimit {
  has(key: string, perMinute: number): boolean;
  take(key: string, perMinute: number): void;
}

export function createRateLimit({ now = Date.now }: { now?: () => number } = {}): RateLimit {
  // Not by `max`, which takes the room for all of them at once.
  const buckets = new LRUCache<string, TokenBucket>({ maxSize: maxKeys, sizeCalculation: () => 1 });

  return {
    has: (key, perMinute) => wholeTokens(buckets.get(key) ?? null, limitOf(perMinute), now()) >= 1,
    take(key, perMinute) {
      buckets.set(key, takeTokens(buckets.get(key) ?? null, limitOf(perMinute), now(), 1));
    },
  };
}
