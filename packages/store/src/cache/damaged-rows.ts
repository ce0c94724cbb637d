import { type Kind, type Refusal, recordKey } from '@lockstep/contract';
import type { StoreLog } from '../interface/log.ts';

/** The rows that do not open, by their keys: left out of what is served, and named. */
export interface DamagedRows {
  note(row: { kind: Kind; id: string; revision: number }): void;
  has(kind: Kind, id: string): boolean;
  /** It came again. */
  delete(kind: Kind, id: string): void;
  clear(): void;
  readonly all: Refusal[];
}

export function createDamagedRows(log: StoreLog, onDamagedRow?: (row: Refusal) => void): DamagedRows {
  const byKey = new Map<string, Refusal>();
  return {
    note({ kind, id, revision }) {
      const key = recordKey(kind, id);
      if (byKey.has(key)) return;
      const refusal = { kind, id, revision, reason: 'its copy on the disk is damaged' };
      byKey.set(key, refusal);
      if (byKey.size === 1) log.warn(refusal, 'a row of the saved configuration is damaged and left out');
      onDamagedRow?.(refusal);
    },
    has: (kind, id) => byKey.has(recordKey(kind, id)),
    delete: (kind, id) => void byKey.delete(recordKey(kind, id)),
    clear: () => byKey.clear(),
    get all() {
      return [...byKey.values()];
    },
  };
}
