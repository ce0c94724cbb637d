import type { StoredRecord } from '@lockstep/contract';
import type { ConfigStore, Lease } from '@lockstep/store';
import { commit, retryOnConflict } from '../../changes/writes.ts';

const batchSize = 200;
/** Bounds one sweep; what is left is the next one's. */
const mostBatches = 100;
const leaseMs = 30_000;

/** Deletes buckets whose `dueAt` has passed: they are full again. One control plane at a time; the others have nothing to do. */
export async function sweepBuckets(store: ConfigStore, now: number, signal: AbortSignal): Promise<number> {
  let lease = await store.acquireLease('bucket/sweep', leaseMs);
  if (lease === null) return 0;
  let swept = 0;
  try {
    for (let batch = 0; batch < mostBatches && !signal.aborted; batch += 1) {
      const due = await store.listDue('bucket', now, batchSize);
      swept += await deleteAll(store, due, lease);
      if (due.length < batchSize) break;
      lease = await store.renewLease(lease, leaseMs);
    }
    return swept;
  } finally {
    await store.releaseLease(lease).catch(() => {}); // it ends by itself
  }
}

async function deleteAll(store: ConfigStore, due: StoredRecord<'bucket'>[], lease: Lease): Promise<number> {
  let left = due;
  await retryOnConflict(async (conflict) => {
    left = left.filter(({ id }) => id !== conflict?.facts.id); // somebody spends from it again
    if (left.length === 0) return;
    await commit(store, {
      by: { kind: 'system' },
      lease,
      checks: left.map(({ id, revision }) => ({ kind: 'bucket', id, revision })),
      changes: left.map(({ id }) => ({ op: 'delete', kind: 'bucket', id })),
    });
  });
  return left.length;
}
