import type { OrderRecord, StoredRecord } from '@lockstep/contract';
import type { Change, Check } from '@lockstep/store';
import type { LedgerRefusal } from '../issuers/ledger/ledger.ts';
import type { KeptLease } from './order-lease.ts';

/** What to write after a step, and how long until the next. */
export interface Outcome {
  order: OrderRecord;
  changes: Change[];
  checks?: Check[];
  waitMs: number;
}

export interface StepTools {
  lease: KeptLease;
  /** Writes the outcome under the lease; null when somebody changed the order (or what else it checks) meanwhile. */
  write(record: StoredRecord<'order'>, outcome: Outcome): Promise<StoredRecord<'order'> | null>;
  /** The same for an outcome that takes from the ledger's buckets or gives back: built anew when another took from one meanwhile. */
  spend(
    issuer: string,
    record: StoredRecord<'order'>,
    build: () => Promise<Outcome | LedgerRefusal>,
  ): Promise<StoredRecord<'order'> | LedgerRefusal | null>;
}
