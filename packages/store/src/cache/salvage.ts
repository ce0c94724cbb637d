import { DatabaseSync } from 'node:sqlite';
import type { SealedRow } from './cache-rows.ts';

/** A page that cannot be read takes its rows with it, each of which costs an attempt. */
const maxAttempts = 100_000;

/**
 * Reads what can be read of a damaged file: every row outside of the pages that are damaged, and the row of the position. Yields
 * nothing for a file that is no database any more.
 */
export function* salvage(path: string): Generator<SealedRow | { position: string }, void, undefined> {
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path);
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
  } catch {
    return;
  }
  try {
    const position = attempt(
      () => database.prepare("SELECT value FROM meta WHERE key = 'position'").get()?.value,
    );
    if (typeof position === 'string') yield { position };
    const rows = database.prepare(
      'SELECT rowid, kind, id, revision, sealed FROM records WHERE rowid >= ? ORDER BY rowid LIMIT 1',
    );
    let next = 0;
    for (let attempts = 0; attempts < maxAttempts; ) {
      const row = attempt(() => rows.get(next) ?? null);
      if (row === null) return;
      if (row === undefined) {
        attempts += 1;
        next += 1;
        continue;
      }
      next = Number(row.rowid) + 1;
      yield row as unknown as SealedRow;
    }
  } catch {
    // The rest of it cannot be read.
  } finally {
    attempt(() => database.close());
  }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
