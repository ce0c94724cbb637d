import {
  AppError,
  edgeKinds,
  type FollowEvent,
  type Kind,
  kinds,
  type LogEntry,
  type LoggedChange,
  type Position,
  type StoredRecord,
  snapshotBatchRecords,
} from '@lockstep/contract';
import type { StoreLog } from '../log.ts';
import { type Sql, transact } from '../sqlite/statements.ts';
import { type CacheFile, openCacheFile } from './cache-file.ts';
import { type CacheLock, lockCache } from './cache-lock.ts';
import { createCacheRows } from './cache-rows.ts';
import { countRemoved, createStaged, dropStaged, replaceByStaged } from './staged-tables.ts';

/** Seals rows. `open` throws `AppError('wrong_secret_key')` for another key, another context or altered text. */
export interface Sealer {
  seal(plaintext: string, context: string): string;
  open(sealed: string, context: string): string;
}

export interface ConfigCacheOptions {
  /** The file; its folder is made where it does not exist. */
  path: string;
  sealer: Sealer;
  log: StoreLog;
  /** The damaged file was renamed to `path`, and the cache is empty again: follow from null. */
  onSetAside?: (path: string) => void;
}

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

/**
 * The edge's last known good configuration on disk, sealed. One process at a time: the second gets
 * `AppError('bad_configuration')`.
 *
 * A damaged file is renamed aside and a fresh one begun. Damage found when the cache is made is only reported; damage
 * found later also makes the call that met it throw `AppError('internal')`, with the cache empty from then on.
 */
export interface ConfigCache {
  /** A random id made with the folder; it outlives a damaged file. */
  readonly home: string;
  /** Null while empty. */
  position(): Position | null;
  /**
   * Whether it was filled with every kind that an edge follows. One of an earlier version lacks the newer kinds, and commits after
   * its position would not bring them: it is good to serve from, not to follow from.
   */
  isComplete(): boolean;
  count(kind: Kind): number;
  /** Distinct hosts over all routes. */
  hosts(): number;
  get<K extends Kind>(kind: K, id: string): StoredRecord<K> | null;
  /** Everything held, or all records of `kinds`, at most `snapshotBatchRecords` at a time. */
  batches(kinds?: readonly Kind[]): Iterable<StoredRecord[]>;
  /** Applies the next commit in one transaction, skipping changes to records already held at its number or a later one. */
  apply(entry: LogEntry): void;
  /** Reads a snapshot to its end. Rejects, with nothing changed, when the snapshot's records do. */
  stage(snapshot: Extract<FollowEvent, { type: 'snapshot' }>): Promise<StagedSnapshot>;
  close(): void;
}

/** Throws `bad_configuration` (locked, not writable) and `wrong_secret_key` (the file stays as it is). */
export function createConfigCache(options: ConfigCacheOptions): ConfigCache {
  const { path, sealer } = options;
  const lock = lockCache(path);
  const file = openLocked(options, lock);
  const rows = createCacheRows(sealer, lock.home);
  const stagedRows = createCacheRows(sealer, lock.home, 'staged_');
  let staging = 0;

  return {
    home: lock.home,
    position: () => file.attempt((sql) => readPlace(sql)?.position ?? null),
    isComplete: () => file.attempt((sql) => edgeKinds.every((kind) => readPlace(sql)?.kinds.includes(kind))),
    count: (kind) => file.attempt((sql) => countRecords(sql, kind)),
    hosts: () => file.attempt(rows.countHosts),
    get: (kind, id) => file.attempt((sql) => rows.get(sql, kind, id)),
    batches,
    apply: (entry) => file.attempt((sql) => transact(sql, () => applyEntry(sql, entry))),
    stage,
    close() {
      file.close();
      lock.close();
    },
  };

  function* batches(wanted: readonly Kind[] = kinds): Generator<StoredRecord[], void, undefined> {
    for (const kind of wanted) {
      let after = '';
      for (;;) {
        const records = file.attempt((sql) => rows.page(sql, kind, after, snapshotBatchRecords));
        if (records.length > 0) yield records;
        if (records.length < snapshotBatchRecords) break;
        after = records.at(-1)!.id;
      }
    }
  }

  function applyEntry(sql: Sql, { position, previousCommitId, changes }: LogEntry): void {
    const place = readPlace(sql);
    const held = place?.position;
    if (
      held === undefined ||
      held.epoch !== position.epoch ||
      held.number + 1 !== position.number ||
      held.commitId !== (previousCommitId ?? '')
    ) {
      throw new AppError('internal', `revision ${position.number} does not follow the saved configuration`);
    }
    for (const change of changes) {
      if ((rows.revisionOf(sql, change.kind, change.id) ?? -1) >= position.number) continue;
      if (change.op === 'delete') rows.remove(sql, change);
      else rows.put(sql, toRecord(change, position.number));
    }
    writePlace(sql, position, place!.kinds);
  }

  async function stage({
    position,
    records,
  }: Extract<FollowEvent, { type: 'snapshot' }>): Promise<StagedSnapshot> {
    staging += 1;
    const mine = staging;
    file.attempt((sql) => transact(sql, () => createStaged(sql)));
    try {
      for await (const batch of records) {
        mustBeLatest();
        file.attempt((sql) =>
          transact(sql, () => {
            for (const record of batch) stagedRows.put(sql, record);
          }),
        );
      }
      mustBeLatest();
    } catch (error) {
      discard();
      throw error;
    }
    const hosts = file.attempt(stagedRows.countHosts);
    return { position, hosts, removed: file.attempt(countRemoved), accept, discard };

    function accept(): void {
      mustBeLatest();
      file.attempt((sql) =>
        transact(sql, () => {
          replaceByStaged(sql);
          writePlace(sql, position, edgeKinds);
        }),
      );
      staging += 1;
    }

    function discard(): void {
      if (mine !== staging) return;
      staging += 1;
      file.attempt((sql) => transact(sql, () => dropStaged(sql)));
    }

    function mustBeLatest(): void {
      if (mine !== staging) throw new AppError('internal', 'this snapshot was ended, or another begun');
    }
  }
}

function openLocked(options: ConfigCacheOptions, lock: CacheLock): CacheFile {
  try {
    return openCacheFile(options);
  } catch (error) {
    lock.close();
    throw error;
  }
}

function toRecord(change: LoggedChange & { op: 'put' }, revision: number): StoredRecord {
  const { kind, id, value } = change;
  return { kind, id, revision, value } as StoredRecord;
}

/** The kinds stand in the row of the position, so that an earlier version, which writes it without them, takes them back. */
function readPlace(sql: Sql): { position: Position; kinds: readonly Kind[] } | null {
  const row = sql("SELECT value FROM meta WHERE key = 'position'").get();
  if (row === undefined) return null;
  const { kinds = [], ...position } = JSON.parse(String(row.value)) as Position & { kinds?: Kind[] };
  return { position, kinds };
}

function writePlace(sql: Sql, position: Position, kinds: readonly Kind[]): void {
  const value = JSON.stringify({ ...position, kinds });
  sql("INSERT OR REPLACE INTO meta (key, value) VALUES ('position', ?)").run(value);
}

function countRecords(sql: Sql, kind: Kind): number {
  return Number(sql('SELECT count(*) AS n FROM records WHERE kind = ?').get(kind)?.n);
}
