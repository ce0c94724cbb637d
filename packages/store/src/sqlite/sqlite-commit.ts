import { AppError, type Position } from '@lockstep/contract';
import type { Commit } from '../config-store.ts';
import {
  hostTaken,
  leaseLost,
  type PreparedChange,
  type PreparedCommit,
  revisionConflict,
} from '../prepared-commit.ts';
import { readHead } from './sqlite-log.ts';
import type { Sql } from './statements.ts';

const commitIdKeptMs = 3_900_000; // the contract says at least an hour

export interface CommitContext {
  sql: Sql;
  epoch: string | null;
  now: number;
  logEntries: number;
}

/** The body of the transaction. `before` is null for a commit id that was made earlier. */
export function applyCommit(
  { sql, epoch, now, logEntries }: CommitContext,
  commit: Commit,
  { changes, logged }: PreparedCommit,
): { position: Position; before: Position | null } {
  const before = readHead(sql);
  if (before === null || before.epoch !== epoch) {
    throw new AppError('store_lost', 'the store is not the one this process opened');
  }
  const made = sql('SELECT number FROM commit_ids WHERE id = ?').get(commit.id);
  if (made !== undefined) {
    return { position: { epoch, number: Number(made.number), commitId: commit.id }, before: null };
  }
  checkLease(sql, commit, now);
  checkRevisions(sql, commit);
  checkClaims(sql, changes);

  const number = before.number + 1;
  writeChanges(sql, changes, number);
  sql('INSERT INTO log (number, commit_id, previous, changes) VALUES (?, ?, ?, ?)').run(
    number,
    commit.id,
    before.commitId,
    logged,
  );
  sql('DELETE FROM log WHERE number <= ?').run(number - logEntries);
  sql('INSERT INTO commit_ids (id, number, at) VALUES (?, ?, ?)').run(commit.id, number, now);
  sql('DELETE FROM commit_ids WHERE at < ?').run(now - commitIdKeptMs);
  const setMeta = sql('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
  setMeta.run('number', number);
  setMeta.run('commitId', commit.id);
  return { position: { epoch, number, commitId: commit.id }, before };
}

function checkLease(sql: Sql, { lease }: Commit, now: number): void {
  if (lease === undefined) return;
  const held = sql('SELECT 1 FROM leases WHERE name = ? AND token = ? AND expires_at > ?');
  if (held.get(lease.name, lease.token, now) === undefined) throw leaseLost(lease.name);
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
