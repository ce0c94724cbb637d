import type { Kind, StoredRecord } from '@lockstep/contract';
import type { ConfigStore, Lease } from '@lockstep/store';
import { commit, retryOnConflict } from './writes.ts';

const batchSize = 200;
/** Bounds one sweep; what is left is the next one's. */
const mostBatches = 100;
const leaseMs = 30_000;

export interface SweepOptions {
  store: ConfigStore;
  /** One whose records are of no use once their date has passed. */
  kind: Extract<Kind, 'bucket' | 'idempotency' | 'token'>;
  /** A kind whose records of the same ids go with them. */
  beside?: Extract<Kind, 'token-use'>;
  now: number;
  /** How many are kept; beyond, the earliest go before their date. Left out: any number. */
  most?: number;
  signal: AbortSignal;
}

/** Deletes records whose `dueAt` has passed, and tells how many. One control plane at a time; the others have nothing to do. */
export async function sweepDue({ store, kind, beside, now, most, signal }: SweepOptions): Promise<number> {
  let lease = await store.acquireLease(`${kind}/sweep`, leaseMs);
  if (lease === null) return 0;
  let swept = 0;
  let beyond = most === undefined ? 0 : Math.max(0, (await store.count(kind)) - most);
  try {
    for (let batch = 0; batch < mostBatches && !signal.aborted; batch += 1) {
      const size = beyond > 0 ? Math.min(beyond, batchSize) : batchSize;
      const due = await store.listDue(kind, beyond > 0 ? Number.MAX_SAFE_INTEGER : now, size);
      swept += await deleteAll(store, due, beside === undefined ? [kind] : [kind, beside], lease);
      if (beyond === 0 && due.length < batchSize) break;
      beyond = due.length === 0 ? 0 : Math.max(0, beyond - due.length);
      lease = await store.renewLease(lease, leaseMs);
    }
    return swept;
  } finally {
    await store.releaseLease(lease).catch(() => {}); // it ends by itself
  }
}

async function deleteAll<K extends Kind>(
  store: ConfigStore,
  due: StoredRecord<K>[],
  kinds: readonly Kind[],
  lease: Lease,
): Promise<number> {
  let left = due;
  await retryOnConflict(async (conflict) => {
    left = left.filter(({ id }) => id !== conflict?.facts.id); // somebody uses it again
    if (left.length === 0) return;
    await commit(store, {
      by: { kind: 'system' },
      lease,
      checks: left.map(({ kind, id, revision }) => ({ kind, id, revision })),
      changes: kinds.flatMap((kind) => left.map(({ id }) => ({ op: 'delete' as const, kind, id }))),
    });
  });
  return left.length;
}
