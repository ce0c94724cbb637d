import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { AppError, type Kind, type Position, type Turn } from '@lockstep/contract';
import { openDatabase } from '../sqlite/open-database.ts';
import { storeFormat, storeSchema } from '../sqlite/schema.ts';
import { readHead } from '../sqlite/sqlite-log.ts';
import { createStatements, type Sql, transact } from '../sqlite/statements.ts';
import type { Backup, Dump } from './backup-file.ts';

const rowsAtOnce = 500;

/** Every record of a store that no process uses meanwhile; `bad_configuration` when one does. */
export async function* dumpSqlite(path: string): Dump {
  if (!existsSync(path)) throw new AppError('bad_configuration', `there is no store ${path}`);
  const database = open(path);
  try {
    const sql = createStatements(database);
    const position = readHead(sql);
    if (position === null) throw new AppError('store_lost', `the store ${path} holds no history`);
    for (let after: [string, string] = ['', '']; ; ) {
      const rows = sql(
        'SELECT kind, id, revision, due_at, value FROM records WHERE (kind, id) > (?, ?) ORDER BY kind, id LIMIT ?',
      ).all(...after, rowsAtOnce);
      for (const { kind, id, revision, due_at: due, value } of rows) {
        const claims = sql('SELECT claim FROM claims WHERE kind = ? AND id = ?').all(kind!, id!);
        yield {
          kind: kind as Kind,
          id: String(id),
          record: {
            revision: Number(revision),
            claims: claims.map(({ claim }) => String(claim)),
            due: due === null ? null : Number(due),
            value: JSON.parse(String(value)),
          },
        };
      }
      if (rows.length < rowsAtOnce) break;
      const { kind, id } = rows.at(-1)!;
      after = [String(kind), String(id)];
    }
    return { position, turns: readTurns(sql) };
  } finally {
    database.close();
  }
}

/** Fills an empty store, in a new epoch that follows the backup's. Throws `wrong_state` for a store that holds a history. */
export async function fillSqlite(path: string, backup: Backup): Promise<Position> {
  const database = open(path);
  try {
    const sql = createStatements(database);
    if (readHead(sql) !== null) {
      throw new AppError('wrong_state', 'the store holds a history; a backup is put into an empty one only');
    }
    const rows = await Array.fromAsync(backup.rows());
    return transact(sql, () => {
      for (const { kind, id, record } of rows) {
        const { revision, claims, due, value } = record;
        sql('INSERT INTO records (kind, id, revision, due_at, value) VALUES (?, ?, ?, ?, ?)').run(
          kind,
          id,
          revision,
          due,
          JSON.stringify(value),
        );
        for (const claim of claims)
          sql('INSERT INTO claims (claim, kind, id) VALUES (?, ?, ?)').run(claim, kind, id);
      }
      const epoch = randomUUID();
      const position = { epoch, number: backup.position.number + 1, commitId: epoch };
      const turn: Turn = { at: Date.now(), reason: 'restored', epoch, kept: backup.position, lost: null };
      const setMeta = sql('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
      setMeta.run('turns', JSON.stringify([...backup.turns, turn]));
      for (const [name, value] of Object.entries(position)) setMeta.run(name, value);
      return position;
    });
  } finally {
    database.close();
  }
}

function open(path: string) {
  return openDatabase({
    path,
    what: 'the store',
    synchronous: 'FULL',
    schema: storeSchema,
    format: storeFormat,
  });
}

function readTurns(sql: Sql): Turn[] {
  const row = sql("SELECT value FROM meta WHERE key = 'turns'").get();
  return row === undefined ? [] : JSON.parse(String(row.value));
}
