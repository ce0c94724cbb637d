import type { LogEntry, Position } from '@lockstep/contract';
import { parseLogged, parseOrigin } from '../rules/prepared-commit.ts';
import type { Sql } from './statements.ts';

/** Null for a store without an epoch. */
export function readHead(sql: Sql): Position | null {
  const meta = Object.fromEntries(
    sql("SELECT key, value FROM meta WHERE key IN ('epoch', 'number', 'commitId')")
      .all()
      .map(({ key, value }) => [key, value]),
  );
  if (meta.epoch === undefined) return null;
  return {
    epoch: String(meta.epoch),
    number: Number(meta.number ?? 0),
    commitId: String(meta.commitId ?? ''),
  };
}

/** As `ConfigStore.readLog`. */
export function readLogAfter(sql: Sql, head: Position, after: Position, limit: number): LogEntry[] | null {
  if (after.epoch !== head.epoch || after.number > head.number) return null;
  if (after.number === head.number) return after.commitId === head.commitId ? [] : null;
  const rows = sql(
    'SELECT number, commit_id, previous, origin, changes FROM log WHERE number > ? ORDER BY number LIMIT ?',
  ).all(after.number, limit);
  const first = rows[0];
  if (first === undefined || first.number !== after.number + 1 || first.previous !== after.commitId)
    return null;
  const entries: LogEntry[] = [];
  for (const row of rows) {
    const origin = parseOrigin(String(row.origin));
    const changes = parseLogged(String(row.changes));
    // A snapshot goes past an entry that cannot be read.
    if (origin === null || changes === null) return entries.length === 0 ? null : entries;
    entries.push({
      position: { epoch: head.epoch, number: Number(row.number), commitId: String(row.commit_id) },
      previousCommitId: row.previous === '' ? null : String(row.previous),
      ...origin,
      changes,
    });
  }
  return entries;
}
