import { AppError, type Position } from '@lockstep/contract';
import type { Commit, Lease } from '../interface/config-store.ts';
import {
  hostTaken,
  leaseLost,
  type PreparedChange,
  type PreparedCommit,
  revisionConflict,
} from '../rules/prepared-commit.ts';
import type { SqliteEvents } from './sqlite-events.ts';
import type { SqliteJournal } from './sqlite-journal.ts';
import { readHead } from './sqlite-log.ts';
import type { Sql } from './statements.ts';

const commitIdKeptMs = 3_900_000; // the contract says at least an hour

/** The history within one transaction: commits are made one after another on the head that is handed on. */
export interface SqliteHistory {
  /** Null for a commit id that was made earlier, at `position`. `before` is the head it was made on. */
  apply(
    commit: Commit,
    prepared: PreparedCommit,
    epoch: string | null,
  ): { position: Position; before: Position | null };
  /** At the end of the transaction: writes the head down, and lets go what need not be remembered any longer. */
  complete(): void;
  /** The transaction was not made. */
  forget(): void;
}

export interface SqliteHistoryOptions {
  sql: Sql;
  isHeld(lease: Lease): boolean;
  now: () => number;
  logEntries: number;
  journal: Pick<SqliteJournal, 'write'>;
  events: Pick<SqliteEvents, 'write'>;
}

export function createSqliteHistory({
  sql,
  isHeld,
  now,
  logEntries,
  journal,
  events,
}: SqliteHistoryOptions): SqliteHistory {
  let head: Position | null = null;

  return {
    apply(commit, prepared, epoch) {
      const { changes, logged, origin } = prepared;
      head ??= readHead(sql);
      if (head === null || head.epoch !== epoch) {
        throw new AppError('store_lost', 'the store is not the one this process opened');
      }
      const before = head;
      const made = sql('SELECT number FROM commit_ids WHERE id = ?').get(commit.id);
      if (made !== undefined) {
        return { position: { epoch, number: Number(made.number), commitId: commit.id }, before: null };
      }
      if (commit.lease !== undefined && !isHeld(commit.lease)) throw leaseLost(commit.lease.name);
      checkRevisions(sql, commit);
      checkClaims(sql, changes);

      const number = before.number + 1;
      const position = { epoch, number, commitId: commit.id };
      journal.write(prepared, position);
      writeChanges(sql, changes, number);
      events.write(prepared.events, position);
      // Its rows are the history too: what is blank cannot be read, and a snapshot goes past it.
      if (commit.forgetsLog) sql("UPDATE log SET changes = ''").run();
      sql('INSERT INTO log (number, commit_id, previous, origin, changes) VALUES (?, ?, ?, ?, ?)').run(
        number,
        commit.id,
        before.commitId,
        origin,
        logged,
      );
      sql('INSERT INTO commit_ids (id, number, at) VALUES (?, ?, ?)').run(commit.id, number, now());
      head = position;
      return { position, before };
    },

    complete() {
      if (head === null) return;
      sql('DELETE FROM log WHERE number <= ?').run(head.number - logEntries);
      sql('DELETE FROM commit_ids WHERE at < ?').run(now() - commitIdKeptMs);
      const setMeta = sql('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
      setMeta.run('number', head.number);
      setMeta.run('commitId', head.commitId);
      head = null;
    },

    forget() {
      head = null;
    },
  };
}

function checkRevisions(sql: Sql, { checks = [] }: Commit): void {
  const find = sql('SELECT revision FROM records WHERE kind = ? AND id = ?');
  for (const { kind, id, revision } of checks) {
    const found = find.get(kind, id);
    if ((found?.revision ?? null) !== revision) throw revisionConflict(kind, id);
  }
}

function checkClaims(sql: Sql, changes: PreparedChange[]): void {
  const changed = new Set(changes.map(({ key }) => key));
  const find = sql('SELECT kind, id FROM claims WHERE claim = ?');
  for (const { claims } of changes) {
    for (const claim of claims) {
      const holder = find.get(claim);
      // A holder changed by this very commit gives the claim up: no two changes of a commit name the same one.
      if (holder !== undefined && !changed.has(`${holder.kind}/${holder.id}`)) {
        throw hostTaken(claim, String(holder.kind), String(holder.id));
      }
    }
  }
}

function writeChanges(sql: Sql, changes: PreparedChange[], number: number): void {
  for (const { kind, id } of changes) sql('DELETE FROM claims WHERE kind = ? AND id = ?').run(kind, id);
  for (const { op, kind, id, json, dueAt, claims } of changes) {
    if (op === 'delete') {
      sql('DELETE FROM records WHERE kind = ? AND id = ?').run(kind, id);
      continue;
    }
    sql(`INSERT INTO records (kind, id, revision, due_at, value) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision, due_at = excluded.due_at, value = excluded.value
    `).run(kind, id, number, dueAt, json);
    for (const claim of claims) {
      sql('INSERT INTO claims (claim, kind, id) VALUES (?, ?, ?)').run(claim, kind, id);
    }
  }
}
