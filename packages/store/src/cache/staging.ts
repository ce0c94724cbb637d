import { AppError, edgeKinds, type FollowEvent, type Position } from '@lockstep/contract';
import { type Sql, transact } from '../sqlite/statements.ts';
import type { CacheFile } from './cache-file.ts';
import { type Place, writePlace } from './cache-place.ts';
import { type CacheRows, countRecords, hasName } from './cache-rows.ts';
import { countRemoved, createStaged, dropStaged, replaceByStaged } from './staged-tables.ts';

/** A whole snapshot on the disk beside what is served. Exactly one of `accept` and `discard` ends it. */
export interface StagedSnapshot {
  position: Position;
  /** Distinct hosts in the snapshot. */
  hosts: number;
  /** What is held now and not in the snapshot: hosts that no route names any more, and certificates. */
  removed: { hosts: number; certificates: number };
  /** Replaces everything held, in one transaction. */
  accept(): void;
  discard(): void;
}

/** Reads a snapshot to its end. Rejects, with nothing changed, when the snapshot's records do. */
export type Stage = (snapshot: Extract<FollowEvent, { type: 'snapshot' }>) => Promise<StagedSnapshot>;

interface StagingOptions {
  file: CacheFile;
  /** Those of the staged tables. */
  rows: CacheRows;
  /** The snapshot has replaced everything held. */
  onAccepted: (place: Place) => void;
}

/** Takes snapshots in beside what is served, the latest one alone: another that begins ends it. */
export function createStaging({ file, rows, onAccepted }: StagingOptions): Stage {
  let latest = 0;

  return async ({ position, records }) => {
    latest += 1;
    const mine = latest;
    let through = 0;
    file.attempt((sql) => transact(sql, () => createStaged(sql)));
    try {
      for await (const batch of records) {
        mustBeLatest();
        file.attempt((sql) =>
          transact(sql, () => {
            for (const record of batch) {
              if (!hasName(record) || !Number.isSafeInteger(record.revision)) continue;
              through = Math.max(through, record.revision);
              rows.put(sql, record);
            }
          }),
        );
      }
      mustBeLatest();
    } catch (error) {
      discard();
      throw error;
    }
    const hosts = file.attempt(rows.countHosts);
    return { position, hosts, removed: file.attempt(countRemoved), accept, discard };

    function accept(): void {
      mustBeLatest();
      const place = file.attempt((sql) =>
        transact(sql, () => {
          replaceByStaged(sql);
          const now = { position, kinds: edgeKinds, through, counts: countAll(sql) };
          writePlace(sql, now);
          return now;
        }),
      );
      latest += 1;
      onAccepted(place);
    }

    function discard(): void {
      if (mine !== latest) return;
      latest += 1;
      file.attempt((sql) => transact(sql, () => dropStaged(sql)));
    }

    function mustBeLatest(): void {
      if (mine !== latest) throw new AppError('internal', 'this snapshot was ended, or another begun');
    }
  };
}

function countAll(sql: Sql): Place['counts'] {
  return Object.fromEntries(edgeKinds.map((kind) => [kind, countRecords(sql, kind)]));
}
