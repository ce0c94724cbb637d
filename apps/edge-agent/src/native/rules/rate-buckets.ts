import { type BucketLimit, nextTokenAt, type TokenBucket, takeTokens, wholeTokens } from '@lockstep/contract';
import { RecentMap } from './recent-map.ts';

/** Beyond, those that are not in use begin anew. */
const mostBuckets = 100_000;
/** How long a worker gathers what it took before the others of its edge are told. */
const toldAfterMs = 100;
const mostTold = 10_000;

/** What was taken of some buckets: their keys, and how often. */
export type Taken = [key: string, count: number][];

export interface RateBucketsOptions {
  /** Tells the edge's other workers; null where there are none. */
  tell: ((taken: Taken) => void) | null;
  most?: number;
}

interface Held {
  bucket: TokenBucket | null;
  /** Taken by other workers, and not yet counted here, where the limit is known only when it is asked for. */
  elsewhere: number;
}

/**
 * The buckets of a worker, of all its routes. The workers of an edge share them: each tells the others after a moment what it took. So more
 * than the limit may pass in such a moment, and that much less after it.
 */
export interface RateBuckets {
  /** Null when there was a token, else when there is the next one; times by `performance.now`. */
  take(key: string, limit: BucketLimit, now: number): number | null;
  /** What other workers took. */
  takenElsewhere(taken: Taken): void;
  readonly size: number;
  close(): void;
}

export function createRateBuckets({ tell, most = mostBuckets }: RateBucketsOptions): RateBuckets {
  const all = new RecentMap<Held>({ most });
  const untold = new Map<string, number>();
  let timer: NodeJS.Timeout | null = null;

  function note(key: string): void {
    if (untold.size >= mostTold && !untold.has(key)) return;
    untold.set(key, (untold.get(key) ?? 0) + 1);
    timer ??= setTimeout(() => {
      timer = null;
      const taken = [...untold];
      untold.clear();
      tell?.(taken);
    }, toldAfterMs);
  }

  return {
    take(key, limit, now) {
      let held = all.get(key);
      if (held === undefined) {
        held = { bucket: null, elsewhere: 0 };
        all.set(key, held);
      }
      if (held.elsewhere > 0) {
        const { tokens, at } = takeTokens(held.bucket, limit, now, 0);
        // What passed beyond the limit is paid back.
        held.bucket = { tokens: Math.max(-limit.count, tokens - held.elsewhere), at };
        held.elsewhere = 0;
      }
      if (wholeTokens(held.bucket, limit, now) < 1) return nextTokenAt(held.bucket, limit, now) ?? now;
      held.bucket = takeTokens(held.bucket, limit, now, 1);
      if (tell !== null) note(key);
      return null;
    },
    takenElsewhere(taken) {
      for (const [key, count] of taken) {
        const held = all.get(key);
        if (held === undefined) all.set(key, { bucket: null, elsewhere: count });
        else held.elsewhere += count;
      }
    },
    get size() {
      return all.size;
    },
    close() {
      if (timer !== null) clearTimeout(timer);
    },
  };
}
