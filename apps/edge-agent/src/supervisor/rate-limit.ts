import { LRUCache } from 'lru-cache';

const minuteMs = 60_000;
/** More keys than that within a minute, and the least recent get their allowance back early. */
const maxKeys = 100_000;

interface Bucket {
  tokens: number;
  at: number;
}

/** So many a minute for each key, as a token bucket: a burst of all of them, then one at a time. The limit may change from call to call. */
export interface RateLimit {
  has(key: string, perMinute: number): boolean;
  take(key: string, perMinute: number): void;
}

export function createRateLimit({ now = Date.now }: { now?: () => number } = {}): RateLimit {
  // Not by `max`, which takes the room for all of them at once.
  const buckets = new LRUCache<string, Bucket>({ maxSize: maxKeys, sizeCalculation: () => 1 });

  function tokensOf(key: string, perMinute: number): number {
    const bucket = buckets.get(key);
    if (bucket === undefined) return perMinute;
    const gained = Math.max(0, now() - bucket.at) * (perMinute / minuteMs);
    return Math.min(perMinute, bucket.tokens + gained);
  }

  return {
    has: (key, perMinute) => tokensOf(key, perMinute) >= 1,
    take(key, perMinute) {
      buckets.set(key, { tokens: tokensOf(key, perMinute) - 1, at: now() });
    },
  };
}
