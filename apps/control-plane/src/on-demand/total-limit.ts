import { perMinute as limitOf, nextTokenAt, recordKey, takeTokens, wholeTokens } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { commit, writeAtOnce } from '../changes/writes.ts';
import { putBucket } from '../issuers/ledger/put-bucket.ts';

/** No issuer's name has a dot, so no ledger's bucket is called that. */
const bucketId = '.on-demand/totalPerMinute/all';

export interface TotalLimit {
  /** Takes one of so many a minute. Null when there was one; else when there is the next, in milliseconds since 1970. */
  take(perMinute: number): Promise<number | null>;
}

/**
 * How many new names the fleet asks about, in one bucket in the store: one in each control plane would allow as many times the
 * number as there are control planes, and all of it again after each restart. While it is empty, the store is left alone.
 */
export function createTotalLimit({ store, now }: { store: ConfigStore; now: () => number }): TotalLimit {
  let empty = { until: 0, perMinute: 0 };

  return {
    async take(perMinute) {
      if (empty.perMinute === perMinute && empty.until > now()) return empty.until;
      const limit = limitOf(perMinute);
      const until = await writeAtOnce(store, [recordKey('bucket', bucketId)], async () => {
        const record = await store.get('bucket', bucketId);
        const bucket = record?.value ?? null;
        if (wholeTokens(bucket, limit, now()) < 1) return nextTokenAt(bucket, limit, now()) ?? now();
        await commit(store, {
          by: { kind: 'on-demand' },
          checks: [{ kind: 'bucket', id: bucketId, revision: record?.revision ?? null }],
          changes: [putBucket(bucketId, takeTokens(bucket, limit, now(), 1), limit)],
        });
        return null;
      });
      if (until !== null) empty = { until, perMinute };
      return until;
    },
  };
}
