import type { OpenStreams } from './compression.ts';
import type { PasswordChecks } from './password-checks.ts';
import type { RateBuckets } from './rate-buckets.ts';

/** What the rules of all routes of a worker share. */
export interface RuleServices {
  buckets: RateBuckets;
  compressing: OpenStreams;
  passwords: Pick<PasswordChecks, 'check'>;
  /** Opens what is sealed in a record. Throws `wrong_secret_key`. */
  open(sealed: string, context: string): string;
}
