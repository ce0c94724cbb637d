import { renameSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { AppError, isAppError } from '@lockstep/contract';
import type { StoreLog } from '../interface/log.ts';
import { isDamage, isOtherFormat, isSqliteError, openDatabase } from '../sqlite/open-database.ts';
import { createStatements, type Sql } from '../sqlite/statements.ts';
import type { Sealer } from './sealer.ts';

/** Version 2 holds nothing but what is for edges. */
const format = 2;

const schema = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, sealed TEXT NOT NULL, PRIMARY KEY (kind, id)
  );
  CREATE TABLE IF NOT EXISTS hosts (hash BLOB PRIMARY KEY, routes INTEGER NOT NULL) WITHOUT ROWID;
  DROP TABLE IF EXISTS staged_records;
  DROP TABLE IF EXISTS staged_hosts;
`;

const canary = { text: 'lockstep', context: 'cache/canary' };

export interface CacheFile {
  /** Runs `work`; when it meets damage, the file is set aside, a fresh one is begun, and `internal` is thrown. */
  attempt<T>(work: (sql: Sql) => T): T;
  close(): void;
}

interface CacheFileOptions {
  path: string;
  sealer: Sealer;
  log: StoreLog;
  /** Whether a row opens: the canary may be what is damaged. */
  opensAny(sql: Sql): boolean;
  /** Seals anew all rows that are sealed with another key than the current one. */
  sealAnew(sql: Sql): void;
  /** The damaged file was renamed to `aside` and a fresh one begun: takes over what can be read. */
  salvage(aside: string, sql: Sql): number;
  onSetAside(aside: string): void;
}

/** The file of a cache: opens it, finds a wrong key, and replaces it where it is damaged or another revision's. Throws `wrong_secret_key`. */
export function openCacheFile(options: CacheFileOptions): CacheFile {
  const { path, sealer, log } = options;
  let closed = true;
  let database: DatabaseSync;
  let sql: Sql;
  try {
    open();
  } catch (error) {
    if (isOtherFormat(error)) discard();
    else if (isDamage(error)) beginAnew(error);
    else throw error;
  }

  return { attempt, close };

  function attempt<T>(work: (sql: Sql) => T): T {
    if (closed) throw new AppError('internal', 'the saved configuration is closed');
    try {
      return work(sql);
    } catch (error) {
      const damaged = isDamage(error);
      if (!damaged && !isSqliteError(error)) throw error;
      if (damaged) {
        close();
        beginAnew(error);
      }
      const what = damaged ? 'is damaged and was set aside' : 'cannot be used';
      throw new AppError('internal', `the saved configuration ${path} ${what}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  function open(): void {
    database = openDatabase({ path, what: 'the saved configuration', synchronous: 'NORMAL', schema, format });
    sql = createStatements(database);
    closed = false;
    try {
      checkKey();
    } catch (error) {
      close();
      throw error;
    }
  }

  function checkKey(): void {
    const row = sql("SELECT value FROM meta WHERE key = 'canary'").get();
    if (row !== undefined) {
      let cause: unknown;
      try {
        if (sealer.open(String(row.value), canary.context) === canary.text) {
          if (sealer.isCurrent(String(row.value))) return;
          // The canary comes last: whoever is broken off begins again.
          options.sealAnew(sql);
          wipeFreeSpace();
          writeCanary();
          log.info({ file: path }, 'the saved configuration was sealed anew, with another key');
          return;
        }
      } catch (error) {
        if (!isAppError(error, 'wrong_secret_key')) throw error;
        cause = error;
      }
      if (!options.opensAny(sql)) {
        throw new AppError(
          'wrong_secret_key',
          `the saved configuration ${path} does not open: ${reasonOf(cause)}; with an empty data folder the edge takes all of it from the store`,
          { cause },
        );
      }
      log.warn(
        { file: path },
        'the saved configuration has a damaged canary; its rows open, and it is made anew',
      );
    }
    writeCanary();
  }

  /** What was there before lies in free pages until then, and opens with the older key. */
  function wipeFreeSpace(): void {
    try {
      sql('VACUUM').run();
      sql('PRAGMA wal_checkpoint(TRUNCATE)').all();
    } catch (error) {
      log.warn({ err: error, file: path }, 'what an older key has sealed is not wiped from free space');
    }
  }

  function writeCanary(): void {
    sql("INSERT OR REPLACE INTO meta (key, value) VALUES ('canary', ?)").run(
      sealer.seal(canary.text, canary.context),
    );
  }

  function discard(): void {
    for (const file of [path, `${path}-wal`]) rmSync(file, { force: true });
    open();
    log.warn(
      { file: path },
      'the saved configuration was made by another revision of Lockstep; it is discarded, and all of it is taken from the store',
    );
  }

  function beginAnew(error: unknown): void {
    const aside = `${path}.damaged`;
    rmSync(`${aside}-wal`, { force: true });
    renameSync(path, aside);
    try {
      renameSync(`${path}-wal`, `${aside}-wal`);
    } catch {
      // none was left
    }
    open();
    const saved = options.salvage(aside, sql);
    log.warn(
      { file: path, aside, saved, reason: reasonOf(error) },
      'saved configuration damaged; set aside and begun anew with what could be read',
    );
    options.onSetAside(aside);
  }

  function close(): void {
    if (closed) return;
    closed = true;
    try {
      database.close();
    } catch {
      // a damaged file may refuse its last checkpoint
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
