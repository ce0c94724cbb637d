import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { isDamage, openDatabase } from '../sqlite/open-database.ts';

export interface CacheLock {
  home: string;
  close(): void;
}

/**
 * Holds the folder of a cache for this process. A file of its own, so that the lock and the folder's identity outlive a
 * damaged cache. Throws `bad_configuration` when another process holds it.
 */
export function lockCache(path: string): CacheLock {
  const lock = `${path}.lock`;
  let database: DatabaseSync;
  try {
    database = open(lock);
  } catch (error) {
    if (!isDamage(error)) throw error;
    rmSync(lock, { force: true });
    rmSync(`${lock}-wal`, { force: true });
    database = open(lock);
  }
  database.prepare('INSERT OR IGNORE INTO home (one, id) VALUES (1, ?)').run(randomUUID());
  const home = String(database.prepare('SELECT id FROM home').get()?.id);
  return {
    home,
    close() {
      if (database.isOpen) database.close();
    },
  };
}

function open(path: string): DatabaseSync {
  return openDatabase({
    path,
    what: 'the data folder',
    shown: dirname(path),
    synchronous: 'FULL',
    schema: 'CREATE TABLE IF NOT EXISTS home (one INTEGER PRIMARY KEY, id TEXT NOT NULL);',
    format: 0,
  });
}
