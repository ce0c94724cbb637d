import {
  defaultJournalBounds,
  type JournalBounds,
  type Kind,
  type Position,
  toJournal,
} from '@lockstep/contract';
import type { ConfigStore } from '../interface/config-store.ts';
import { toJournalEntry } from '../rules/journal-entry.ts';
import type { PreparedCommit } from '../rules/prepared-commit.ts';
import type { Sql } from './statements.ts';

export interface SqliteJournal {
  /** Inside the commit's transaction, before its changes are made. */
  write(prepared: PreparedCommit, position: Position): void;
  read(page: Parameters<ConfigStore['readJournal']>[0]): Awaited<ReturnType<ConfigStore['readJournal']>>;
  bound(bounds: JournalBounds): void;
}

export function createSqliteJournal(sql: Sql, now: () => number): SqliteJournal {
  let bounds = defaultJournalBounds;

  return {
    write({ changes, origin }, { epoch, number, commitId }) {
      const journaled = changes.filter((change) => change.journaled);
      if (journaled.length === 0) return;
      const at = now();
      const find = sql('SELECT value FROM records WHERE kind = ? AND id = ?');
      const insert = sql(`INSERT INTO journal (at, epoch, number, commit_id, origin, kind, id, before, after)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
      let last = 0;
      for (const { op, kind, id, json } of journaled) {
        const before = toJournal(kind, String(find.get(kind, id)?.value ?? '')) ?? '';
        const after = toJournal(kind, json) ?? '';
        // What only seals anew is not in it.
        if (op === 'put' && before === after) continue;
        const row = [at, epoch, number, commitId, origin, kind, id, before, after];
        last = Number(insert.run(...row).lastInsertRowid);
      }
      if (last === 0) return;
      sql('DELETE FROM journal WHERE seq <= ?').run(last - bounds.entries);
      // In their order, dates go up: the first that is young enough ends what is old.
      sql(`DELETE FROM journal WHERE seq < (SELECT seq FROM journal WHERE at >= ? ORDER BY seq LIMIT 1)`).run(
        at - bounds.ageMs,
      );
    },

    read({ limit, cursor }) {
      const count = Math.min(limit, bounds.entries);
      const rows = sql('SELECT * FROM journal WHERE seq < ? AND at >= ? ORDER BY seq DESC LIMIT ?').all(
        Number(cursor ?? Number.MAX_SAFE_INTEGER),
        now() - bounds.ageMs,
        count,
      );
      return {
        items: rows.flatMap(
          ({ at, epoch, number, commit_id, origin, kind, id, before, after }) =>
            toJournalEntry({
              at: Number(at),
              position: { epoch: String(epoch), number: Number(number), commitId: String(commit_id) },
              origin: String(origin),
              kind: kind as Kind,
              id: String(id),
              before: String(before),
              after: String(after),
            }) ?? [],
        ),
        next: count === 0 || rows.length < count ? null : String(rows.at(-1)!.seq),
      };
    },

    bound(wanted) {
      bounds = wanted;
    },
  };
}
