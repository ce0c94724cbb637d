import { type BucketLimit, fullAt, type TokenBucket } from '@lockstep/contract';
import type { Change } from '@lockstep/store';

/** Writes a bucket, due when it is full again; a full one need not exist. */
export function putBucket(id: string, value: TokenBucket, limit: BucketLimit): Change {
  const dueAt = fullAt(value, limit);
  return dueAt === null
    ? { op: 'delete', kind: 'bucket', id }
    : { op: 'put', kind: 'bucket', id, value, dueAt };
}
