import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** Prepares each statement at its first use and keeps it. */
export function createStatements(database: DatabaseSync) {
  const prepared = new Map<string, StatementSync>();
  return function sql(text: string): StatementSync {
    let statement = prepared.get(text);
    if (statement === undefined) {
      statement = database.prepare(text);
      prepared.set(text, statement);
    }
    return statement;
  };
}

export type Sql = ReturnType<typeof createStatements>;

/** Runs `work` in one transaction; whatever it throws rolls it back. */
export function transact<T>(sql: Sql, work: () => T): T {
  sql('BEGIN IMMEDIATE').run();
  try {
    const result = work();
    sql('COMMIT').run();
    return result;
  } catch (error) {
    try {
      sql('ROLLBACK').run();
    } catch {
      // SQLite has already rolled back by itself (a full disk); the first error is the one to report
    }
    throw error;
  }
}
