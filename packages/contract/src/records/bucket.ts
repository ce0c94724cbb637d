import type { TokenBucket } from '../shared/token-bucket.ts';
import { recordKind } from './kind-module.ts';

/** A token bucket of an issuer's ledger: `<issuer>/<limit>/<key>`. */
export interface BucketRecord extends TokenBucket {
  /** Of `<issuer>/pause/`: until when the CA asked to be left alone, in milliseconds since 1970. */
  pausedUntil?: number;
}

export const bucket = recordKind<BucketRecord>()({
  kind: 'bucket',
  audience: 'control',
  version: 1,
  secret: {},
  journal: () => false,
});
