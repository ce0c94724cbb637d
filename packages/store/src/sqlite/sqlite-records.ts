import {
  broughtUpToDate,
  isReadable,
  type Kind,
  type StoredRecord,
  unreadableRecord,
} from '@lockstep/contract';
import type { ConfigStore, Page, PageRequest } from '../interface/config-store.ts';
import { dueOfScore, dueScore } from '../rules/prepared-commit.ts';
import type { Sql } from './statements.ts';

type Reads = Pick<
  ConfigStore,
  'get' | 'getMany' | 'list' | 'count' | 'listDue' | 'countDue' | 'nextDue' | 'findClaims'
>;

interface SqliteRecords extends Reads {
  /** As `list`, with those that cannot be read, their value null: whoever follows refuses them by name. */
  listWithUnreadable: Reads['list'];
}

/** A record that cannot be read makes `get` throw `internal`; where others are read with it, it is left out. */
export function createSqliteRecords(sql: Sql, attempt: <T>(work: () => T) => T): SqliteRecords {
  return {
    async get(kind, id) {
      const record = attempt(() => find(kind, id));
      if (record === null || isReadable(record)) return record;
      throw unreadableRecord(kind, id, record.revision);
    },

    async getMany(kind, ids) {
      const found = attempt(() => ids.map((id) => find(kind, id)));
      return found.map((record) => (record !== null && isReadable(record) ? record : null));
    },

    async listWithUnreadable(kind, page) {
      return attempt(() => listAll(kind, page));
    },

    async list(kind, page) {
      const { items, next } = attempt(() => listAll(kind, page));
      return { items: items.filter(isReadable), next };
    },

    async count(kind) {
      return attempt(() => Number(sql('SELECT count(*) AS n FROM records WHERE kind = ?').get(kind)?.n));
    },

    async listDue(kind, until, limit, lane = 0) {
      return attempt(() =>
        sql(`SELECT kind, id, revision, value FROM records
          WHERE kind = ? AND due_at IS NOT NULL AND due_at BETWEEN ? AND ? ORDER BY due_at, id LIMIT ?`)
          .all(kind, dueScore(0, lane), dueScore(until, lane), limit)
          .map(toRecord<typeof kind>)
          .filter(isReadable),
      );
    },

    async countDue(kind, until, lane = 0) {
      return attempt(() =>
        Number(
          sql(`SELECT count(*) AS n FROM records
            WHERE kind = ? AND due_at IS NOT NULL AND due_at BETWEEN ? AND ?`).get(
            kind,
            dueScore(0, lane),
            dueScore(until, lane),
          )?.n,
        ),
      );
    },

    async nextDue(kind, lane = 0) {
      return attempt(() => {
        const row = sql(`SELECT min(due_at) AS due FROM records
          WHERE kind = ? AND due_at IS NOT NULL AND due_at BETWEEN ? AND ?`).get(
          kind,
          dueScore(0, lane),
          dueScore(Number.MAX_SAFE_INTEGER, lane),
        );
        return row?.due == null ? null : dueOfScore(Number(row.due));
      });
    },

    async findClaims(prefix, limit, after) {
      return attempt(() =>
        // U+10FFFF is above every character a claim begins with after the prefix.
        sql(
          `SELECT claim, kind, id FROM claims WHERE claim ${after === undefined ? '>=' : '>'} ? AND claim <= ? ORDER BY claim LIMIT ?`,
        )
          .all(after ?? prefix, `${prefix}\u{10FFFF}`, limit)
          .map((row) => ({ claim: String(row.claim), kind: row.kind as Kind, id: String(row.id) })),
      );
    },
  };

  function find<K extends Kind>(kind: K, id: string): StoredRecord<K> | null {
    const row = sql('SELECT kind, id, revision, value FROM records WHERE kind = ? AND id = ?').get(kind, id);
    return row === undefined ? null : toRecord<K>(row);
  }

  function listAll<K extends Kind>(kind: K, { limit, cursor = '' }: PageRequest): Page<StoredRecord<K>> {
    const rows = sql(
      'SELECT kind, id, revision, value FROM records WHERE kind = ? AND id > ? ORDER BY id LIMIT ?',
    ).all(kind, cursor, limit + 1);
    const items = rows.slice(0, limit).map(toRecord<K>);
    return { items, next: rows.length > limit ? items.at(-1)!.id : null };
  }
}

/** Its value is null where that is no JSON. */
function toRecord<K extends Kind>({ kind, id, revision, value }: Record<string, unknown>): StoredRecord<K> {
  return {
    kind,
    id,
    revision,
    value: broughtUpToDate(String(kind), parseValue(String(value))),
  } as StoredRecord<K>;
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
