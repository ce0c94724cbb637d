import type { FollowEvent, Kind, LogEntry, Position, StoredRecord } from '@lockstep/contract';
import type { StoreLog } from '../log.ts';

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
  /** A damaged file was renamed to `path`, and the cache is empty again: follow from null. */
  onSetAside?: (path: string) => void;
}

/** A whole snapshot on the disk beside what is served. Exactly one of `accept` and `discard` ends it. */
export interface StagedSnapshot {
  position: Position;
  /** Distinct hosts in the snapshot. */
  hosts: number;
  /** Hosts served now and not in the snapshot. */
  removed: number;
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
export function createConfigCache(_options: ConfigCacheOptions): ConfigCache {
  throw new Error('not written yet');
}
