import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  AppError,
  continues,
  isAppError,
  type Kind,
  kinds,
  type LogEntry,
  type LoggedChange,
  type Position,
  type Refusal,
  type StoredRecord,
  snapshotBatchRecords,
} from '@lockstep/contract';
import type { StoreLog } from '../interface/log.ts';
import { isHeldByAnother } from '../sqlite/open-database.ts';
import { type Sql, transact } from '../sqlite/statements.ts';
import { openCacheFile } from './cache-file.ts';
import { lockCache } from './cache-lock.ts';
import { isWhole, mustBeAll, type Place, parsePlace, readPlace, writePlace } from './cache-place.ts';
import { type CacheRows, countRecords, createCacheRows, hasName, type RowPage } from './cache-rows.ts';
import { copyToWorkOn } from './copy-to-work-on.ts';
import { createDamagedRows } from './damaged-rows.ts';
import { salvage } from './salvage.ts';
import type { Sealer } from './sealer.ts';
import { createStaging, type Stage } from './staging.ts';

export interface ConfigCacheOptions {
  /** The file; its folder is made where it does not exist. */
  path: string;
  sealer: Sealer;
  log: StoreLog;
  /** The damaged file was renamed to `path`, and the cache holds what could be read of it: follow from null. */
  onSetAside?: (path: string) => void;
  /** A row is damaged and left out, see `damaged`: follow from null. */
  onDamagedRow?: (row: Refusal) => void;
}

/**
 * The edge's last known good configuration on disk, sealed. One process at a time: the second gets
 * `AppError('bad_configuration')`.
 *
 * A damaged row is left out and named. A damaged file is renamed aside and a fresh one begun with the rows that can be read;
 * damage found after the cache was made also makes the call that met it throw `AppError('internal')`.
 *
 * A folder that cannot be written is served from: the cache then works on a copy in the system's temporary folder, which ends with it.
 */
export interface ConfigCache {
  /** A random id made with the folder; it outlives a damaged file. */
  readonly home: string;
  /** Null while empty. Where some kind is lacking, its commit id is one that no history has: it acknowledges nothing. */
  position(): Position | null;
  /**
   * Whether it can be followed from: it was filled with every kind that an edge follows, has no damaged row, and nothing in it is
   * of a commit that is still to come. Otherwise it is good to serve from alone.
   */
  isComplete(): boolean;
  /** False while it works on a copy, as its folder cannot be written. */
  readonly persistent: boolean;
  /** Rows that are damaged and left out, until a commit or a snapshot brings them again. */
  readonly damaged: readonly Refusal[];
  count(kind: Kind): number;
  /** Distinct hosts over all routes, those included that `alsoServe` adds. */
  hosts(): number;
  get<K extends Kind>(kind: K, id: string): StoredRecord<K> | null;
  /** The first record of a kind by id, if there is one. */
  first<K extends Kind>(kind: K): StoredRecord<K> | null;
  /** Everything held, or all records of `kinds`, at most `snapshotBatchRecords` at a time. */
  batches(kinds?: readonly Kind[]): Iterable<StoredRecord[]>;
  /**
   * Applies the next commits in one transaction, skipping changes to records already held at their number or a later one, and
   * changes that have no name.
   */
  apply(entries: readonly LogEntry[]): void;
  readonly stage: Stage;
  close(): void;
}

/** Throws `bad_configuration` (locked, not writable) and `wrong_secret_key` (the file stays as it is). */
export function createConfigCache(options: ConfigCacheOptions): ConfigCache {
  const { sealer, log } = options;
  const damaged = createDamagedRows(log, options.onDamagedRow);
  /** As on the disk, which may fail any moment; undefined: to be read. */
  let place: Place | null | undefined;
  let copy: ReturnType<typeof copyToWorkOn> | null = null;
  const { lock, file, rows, stagedRows } = openWritable();
  let writes = 0;
  const stage = createStaging({
    file,
    rows: stagedRows,
    onAccepted(accepted) {
      place = accepted;
      damaged.clear();
      writes += 1;
    },
  });

  return {
    home: lock.home,
    persistent: copy === null,
    get damaged() {
      return damaged.all;
    },
    position: () => placeNow()?.position ?? null,
    isComplete: () => damaged.all.length === 0 && isWhole(placeNow()),
    count: (kind) => file.attempt((sql) => countRecords(sql, kind)),
    hosts: () => file.attempt(rows.countHosts),
    first: <K extends Kind>(kind: K) =>
      file.attempt((sql) => (rows.page(sql, kind, '', 1).records[0] ?? null) as StoredRecord<K> | null),
    get: (kind, id) => file.attempt((sql) => rows.get(sql, kind, id)),
    batches,
    apply(entries) {
      place = file.attempt((sql) => transact(sql, () => applyEntries(sql, entries)));
    },
    stage,
    close() {
      file.close();
      lock.close();
      copy?.remove();
    },
  };

  function placeNow(): Place | null {
    if (place === undefined) place = file.attempt(readPlace);
    return place;
  }

  function openWritable() {
    try {
      return openAt(options.path);
    } catch (error) {
      const unwritable = isAppError(error, 'bad_configuration') && !isHeldByAnother(error);
      if (!unwritable || !existsSync(options.path)) throw error;
      copy = copyToWorkOn(options.path, (file, unread) =>
        log.warn({ err: unread, file }, 'a file of the saved configuration cannot be read; it is left out'),
      );
      log.warn(
        { err: error, folder: dirname(options.path), copy: dirname(copy.path) },
        'the data folder cannot be written; what is saved there is served, and nothing is saved',
      );
      try {
        return openAt(copy.path);
      } catch (again) {
        copy.remove();
        throw again;
      }
    }
  }

  function openAt(path: string) {
    const lock = lockCache(path);
    const rowsOptions = { sealer, home: lock.home, onDamaged: damaged.note };
    const rows = createCacheRows(rowsOptions);
    const stagedRows = createCacheRows({ ...rowsOptions, prefix: 'staged_' });
    try {
      const file = openCacheFile({
        path,
        sealer,
        log,
        sealAnew: rows.sealAnew,
        opensAny: (sql) => countOpening(sql, rows) > 0,
        salvage: (aside, sql) => takeOver(aside, sql, rows),
        onSetAside: (aside) => options.onSetAside?.(aside),
      });
      return { lock, file, rows, stagedRows };
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** Of the first rows, to tell a damaged canary from another key. */
  function countOpening(sql: Sql, rows: CacheRows): number {
    const opening = kinds.reduce((sum, kind) => sum + rows.page(sql, kind, '', 20).records.length, 0);
    if (opening === 0) damaged.clear();
    return opening;
  }

  /** What is read of a damaged file may lack anything: its position has a commit id that no history knows. */
  function takeOver(aside: string, sql: Sql, rows: CacheRows): number {
    damaged.clear();
    place = undefined;
    return transact(sql, () => {
      let position: Position = { epoch: 'damaged', number: 0, commitId: '' };
      let saved = 0;
      for (const found of salvage(aside)) {
        if ('position' in found) position = parsePlace(found.position)?.position ?? position;
        else {
          rows.putSealed(sql, found);
          saved += 1;
        }
      }
      if (saved > 0)
        writePlace(sql, {
          position: { ...position, commitId: 'damaged' },
          kinds: [],
          through: 0,
          counts: {},
        });
      return saved;
    });
  }

  function* batches(wanted: readonly Kind[] = kinds): Generator<StoredRecord[], void, undefined> {
    for (const kind of wanted) {
      const began = writes;
      let seen = 0;
      for (let after: string | null = ''; after !== null; ) {
        const page: RowPage = file.attempt((sql) => rows.page(sql, kind, after!, snapshotBatchRecords));
        seen += page.found;
        if (page.records.length > 0) yield page.records;
        after = page.next;
      }
      if (writes === began) file.attempt(() => mustBeAll(placeNow(), kind, seen));
    }
  }

  function applyEntries(sql: Sql, entries: readonly LogEntry[]): Place {
    const held = placeNow();
    if (held === null)
      throw new AppError('internal', 'a commit does not follow an empty saved configuration');
    let at = held.position;
    const counts = { ...held.counts };
    for (const entry of entries) {
      if (!continues(at, entry)) {
        throw new AppError(
          'internal',
          `revision ${entry.position.number} does not follow the saved configuration`,
        );
      }
      for (const change of entry.changes) {
        if (hasName(change)) applyChange(sql, change, entry.position.number, counts);
      }
      at = entry.position;
    }
    writes += 1;
    const now = { ...held, position: at, counts };
    writePlace(sql, now);
    return now;
  }

  function applyChange(sql: Sql, change: LoggedChange, number: number, counts: Place['counts']): void {
    const { kind, id } = change;
    const held = rows.revisionOf(sql, kind, id);
    if (held !== null && held >= number && !damaged.has(kind, id)) return;
    if (change.op === 'delete') rows.remove(sql, change);
    else rows.put(sql, toRecord(change, number));
    damaged.delete(kind, id);
    const grown = (change.op === 'delete' ? 0 : 1) - (held === null ? 0 : 1);
    if (counts[kind] !== undefined || grown > 0) counts[kind] = (counts[kind] ?? 0) + grown;
  }
}

function toRecord(change: LoggedChange & { op: 'put' }, revision: number): StoredRecord {
  const { kind, id, value } = change;
  return { kind, id, revision, value } as StoredRecord;
}
