import { renameSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { AppError } from '@lockstep/contract';
import { isDamage, isSqliteError, openDatabase } from '../sqlite/open-database.ts';
import { createStatements, type Sql } from '../sqlite/statements.ts';
import type { ConfigCacheOptions } from './config-cache.ts';

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

export type CacheFile = ReturnType<typeof openCacheFile>;

/** The file of a cache: opens it, finds a wrong key, and replaces it where it is damaged. */
export function openCacheFile({ path, sealer, log, onSetAside }: ConfigCacheOptions) {
  let database = openSound();
  let sql = createStatements(database);
  let closed = false;

  return { attempt, close };

  /** Runs `work`; when it meets damage, the file is set aside, a fresh one is begun, and `internal` is thrown. */
  function attempt<T>(work: (sql: Sql) => T): T {
    if (closed) throw new AppError('internal', 'the saved configuration is closed');
    try {
      return work(sql);
    } catch (error) {
      // The key was found right, so a row that does not open was altered.
      const damaged = isDamage(error) || (error instanceof AppError && error.code === 'wrong_secret_key');
      if (!damaged && !isSqliteError(error)) throw error;
      if (damaged) {
        close();
        setAside(error);
        database = open();
        sql = createStatements(database);
        closed = false;
      }
      const what = damaged ? 'is damaged and was set aside' : 'cannot be used';
      throw new AppError('internal', `the saved configuration ${path} ${what}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  function openSound(): DatabaseSync {
    try {
      return open();
    } catch (error) {
      if (!isDamage(error)) throw error;
      setAside(error);
      return open();
    }
  }

  function open(): DatabaseSync {
    const opened = openDatabase({ path, what: 'the saved configuration', synchronous: 'NORMAL', schema });
    try {
      checkKey(opened);
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  function checkKey(opened: DatabaseSync): void {
    const row = opened.prepare("SELECT value FROM meta WHERE key = 'canary'").get();
    if (row === undefined) {
      const sealed = sealer.seal(canary.text, canary.context);
      opened.prepare("INSERT INTO meta (key, value) VALUES ('canary', ?)").run(sealed);
    } else if (sealer.open(String(row.value), canary.context) !== canary.text) {
      throw new AppError('wrong_secret_key', 'the saved configuration was made with another secret key');
    }
  }

  function setAside(error: unknown): void {
    const aside = `${path}.damaged`;
    rmSync(`${aside}-wal`, { force: true });
    renameSync(path, aside);
    try {
      renameSync(`${path}-wal`, `${aside}-wal`);
    } catch {
      // none was left
    }
    log.warn(
      { file: path, aside, reason: reasonOf(error) },
      'saved configuration damaged; set aside and begun anew',
    );
    onSetAside?.(aside);
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
