import type { OpenStreams } from './compression.ts';
import type { RateBuckets } from './rate-buckets.ts';

/** What the rules of all routes of a worker share. */
export interface RuleServices {
  buckets: RateBuckets;
  compressing: OpenStreams;
}
