import type { Sql } from '../sqlite/statements.ts';

/** Tables of the same form beside those that are served; a snapshot takes their place by being renamed. */
export function createStaged(sql: Sql): void {
  dropStaged(sql);
  sql(`CREATE TABLE staged_records (
    kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, sealed TEXT NOT NULL, PRIMARY KEY (kind, id)
  )`).run();
  sql('CREATE TABLE staged_hosts (hash BLOB PRIMARY KEY, routes INTEGER NOT NULL) WITHOUT ROWID').run();
}

export function dropStaged(sql: Sql): void {
  sql('DROP TABLE IF EXISTS staged_records').run();
  sql('DROP TABLE IF EXISTS staged_hosts').run();
}

export function replaceByStaged(sql: Sql): void {
  for (const table of ['records', 'hosts']) {
    sql(`DROP TABLE ${table}`).run();
    sql(`ALTER TABLE staged_${table} RENAME TO ${table}`).run();
  }
}

/** What is served now and would no longer be: hosts whose routes are gone, and certificates. */
export function countRemoved(sql: Sql): { hosts: number; certificates: number } {
  const hosts = sql(
    'SELECT count(*) AS n FROM hosts WHERE hash NOT IN (SELECT hash FROM staged_hosts)',
  ).get();
  const certificates = sql(`SELECT count(*) AS n FROM records WHERE kind = 'certificate' AND NOT EXISTS (
    SELECT 1 FROM staged_records AS staged WHERE staged.kind = 'certificate' AND staged.id = records.id
  )`).get();
  return { hosts: Number(hosts?.n), certificates: Number(certificates?.n) };
}
