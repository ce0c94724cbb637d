import type { Sql } from './statements.ts';

/** A transaction that has run so long takes no more writes: the others are the next turn's, and sockets come in between. */
const longestTurnMs = 8;

interface Write {
  work(): unknown;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** The writes that come in one turn of the event loop, made in one transaction: they share its wait for the disk. */
export interface GroupCommit {
  /**
   * Runs `work` inside the turn's transaction and resolves with its result once that is on the disk. Where `work` throws, only its own
   * changes are undone, and it alone fails; where the transaction fails, all of its writes do.
   */
  add<T>(work: () => T): Promise<T>;
  /** Makes what still waits. */
  flush(): void;
}

export interface GroupCommitOptions {
  sql: Sql;
  /** Run inside the transaction, after the last write. */
  complete(): void;
  /** The transaction was undone. */
  forget(): void;
  /** What a write fails with when its transaction could not be made. */
  toFailure(error: unknown): unknown;
}

export function createGroupCommit({ sql, complete, forget, toFailure }: GroupCommitOptions): GroupCommit {
  const waiting: Write[] = [];
  let planned = false;

  function plan(): void {
    if (planned) return;
    planned = true;
    setImmediate(() => {
      planned = false;
      if (waiting.length > 0) makeGroup();
      if (waiting.length > 0) plan();
    });
  }

  function makeGroup(): void {
    const group: Write[] = [];
    const answers: (() => void)[] = [];
    const until = performance.now() + longestTurnMs;
    try {
      sql('BEGIN IMMEDIATE').run();
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        group.push(next);
        answers.push(make(next));
        if (performance.now() >= until) break;
      }
      complete();
      sql('COMMIT').run();
    } catch (error) {
      rollBack();
      forget();
      const failure = toFailure(error);
      for (const { reject } of group.length === 0 ? waiting.splice(0) : group) reject(failure);
      return;
    }
    for (const answer of answers) answer();
  }

  /** Tells how to answer once the transaction is made: a refusal, too, may rest on what another write of it changed. */
  function make({ work, resolve, reject }: Write): () => void {
    sql('SAVEPOINT one').run();
    try {
      const value = work();
      sql('RELEASE one').run();
      return () => resolve(value);
    } catch (error) {
      // Throws where SQLite has undone the whole transaction by itself, as on a full disk.
      sql('ROLLBACK TO one').run();
      sql('RELEASE one').run();
      return () => reject(toFailure(error));
    }
  }

  /** Also where SQLite has undone it by itself: the first error is the one to report. */
  function rollBack(): void {
    try {
      sql('ROLLBACK').run();
    } catch {
      // no transaction is left
    }
  }

  return {
    add<T>(work: () => T): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        waiting.push({ work, resolve: resolve as (value: unknown) => void, reject });
        plan();
      });
    },
    flush() {
      while (waiting.length > 0) makeGroup();
    },
  };
}
