import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AppError, isAppError } from '@lockstep/contract';

const busy = 5;
const corrupt = 11;
const notADatabase = 26;

export interface OpenDatabaseOptions {
  path: string;
  /** What the file is, for an operator: "the store". */
  what: string;
  synchronous: 'FULL' | 'NORMAL';
  /** Run inside the first transaction, which also takes the lock. */
  schema: string;
  /** Goes up with each change of the schema, or of what stands in it, that another revision would misread. */
  format: number;
  /** Names it in errors, instead of `path`. */
  shown?: string;
}

/**
 * Opens a file that this process alone uses until it is closed, or dies. Throws `bad_configuration` when another process
 * holds it, when it cannot be written and when it has another format; SQLite's own error when it is damaged (see `isDamage`).
 */
export function openDatabase(options: OpenDatabaseOptions): DatabaseSync {
  const { path, what, synchronous, schema, format, shown = path } = options;
  if (path !== ':memory:') createFile(path, `${what} ${shown}`);
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    // Exclusive before WAL: the lock then lasts as long as the connection, and no shared memory file is needed.
    database.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${synchronous};
      PRAGMA wal_autocheckpoint = 8000;
      PRAGMA cache_size = -16000;
      BEGIN IMMEDIATE;
    `);
    refuseOtherFormat(database, format, `${what} ${shown}`);
    database.exec(`${schema} PRAGMA user_version = ${format}; COMMIT;`);
    return database;
  } catch (error) {
    database?.close();
    if (isDamage(error) || isOtherFormat(error)) throw error;
    if (sqliteCode(error) === busy) {
      throw new AppError('bad_configuration', `another process already holds ${what} ${shown}`, {
        cause: error,
      });
    }
    throw cannotWrite(`${what} ${shown}`, error);
  }
}

function refuseOtherFormat(database: DatabaseSync, format: number, what: string): void {
  const found = Number(database.prepare('PRAGMA user_version').get()?.user_version);
  const isEmpty = database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.n === 0;
  if (isEmpty || found === format) return;
  throw new AppError(
    'bad_configuration',
    `${what} was made by ${found < format ? 'an earlier' : 'a later'} revision of Lockstep, of which nothing is carried over; begin with an empty one: another --data-dir`,
    { facts: { format: found } },
  );
}

/** Whether `openDatabase` failed because another revision made the file. */
export function isOtherFormat(error: unknown): boolean {
  return isAppError(error, 'bad_configuration') && error.facts.format !== undefined;
}

/** Whether SQLite found the file not to be a database, or not a sound one. */
export function isDamage(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === corrupt || code === notADatabase;
}

/** What `isDamage` takes for damage, where SQLite did not notice. */
export function damage(message: string): Error {
  return Object.assign(new Error(message), { errcode: corrupt });
}

/** Whether `openDatabase` failed because another process holds the file. */
export function isHeldByAnother(error: unknown): boolean {
  return error instanceof AppError && sqliteCode(error.cause) === busy;
}

export function isSqliteError(error: unknown): boolean {
  return sqliteCode(error) !== null;
}

function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error)) return null;
  return Number(error.errcode) & 0xff; // extended codes keep the primary one in their low byte
}

function createFile(path: string, what: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'a', 0o600));
  } catch (error) {
    throw cannotWrite(what, error);
  }
}

function cannotWrite(what: string, cause: unknown): AppError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AppError('bad_configuration', `${what} cannot be written: ${reason}`, { cause });
}
