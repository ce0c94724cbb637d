import { createHash } from 'node:crypto';
import type { Kind, LoggedChange, RouteRecord, StoredRecord } from '@lockstep/contract';
import type { Sql } from '../sqlite/statements.ts';
import type { Sealer } from './config-cache.ts';

/**
 * Sealed rows, and beside them how many routes name each host: counting hosts must neither open all rows nor show a name.
 * `prefix` chooses between what is served and what is staged.
 */
export function createCacheRows(sealer: Sealer, home: string, prefix: '' | 'staged_' = '') {
  const records = `${prefix}records`;
  const hosts = `${prefix}hosts`;
  return { get, revisionOf, put, remove, page, countHosts };

  function get<K extends Kind>(sql: Sql, kind: K, id: string): StoredRecord<K> | null {
    const row = sql(`SELECT kind, id, revision, sealed FROM ${records} WHERE kind = ? AND id = ?`).get(
      kind,
      id,
    );
    return row === undefined ? null : toRecord<K>(row);
  }

  function revisionOf(sql: Sql, kind: Kind, id: string): number | null {
    const row = sql(`SELECT revision FROM ${records} WHERE kind = ? AND id = ?`).get(kind, id);
    return row === undefined ? null : Number(row.revision);
  }

  function put(sql: Sql, { kind, id, revision, value }: StoredRecord): void {
    dropHosts(sql, kind, id);
    sql(`INSERT OR REPLACE INTO ${records} (kind, id, revision, sealed) VALUES (?, ?, ?, ?)`).run(
      kind,
      id,
      revision,
      sealer.seal(JSON.stringify(value), context(kind, id)),
    );
    if (kind !== 'route') return;
    const add = sql(
      `INSERT INTO ${hosts} (hash, routes) VALUES (?, 1) ON CONFLICT (hash) DO UPDATE SET routes = routes + 1`,
    );
    for (const hash of hashesOf(value as RouteRecord)) add.run(hash);
  }

  function remove(sql: Sql, { kind, id }: LoggedChange): void {
    dropHosts(sql, kind, id);
    sql(`DELETE FROM ${records} WHERE kind = ? AND id = ?`).run(kind, id);
  }

  /** Records of `kind` behind `after`, by id. */
  function page(sql: Sql, kind: Kind, after: string, limit: number): StoredRecord[] {
    return sql(
      `SELECT kind, id, revision, sealed FROM ${records} WHERE kind = ? AND id > ? ORDER BY id LIMIT ?`,
    )
      .all(kind, after, limit)
      .map(toRecord<Kind>);
  }

  function countHosts(sql: Sql): number {
    return Number(sql(`SELECT count(*) AS n FROM ${hosts}`).get()?.n);
  }

  function dropHosts(sql: Sql, kind: Kind, id: string): void {
    const held = kind === 'route' ? get(sql, 'route', id) : null;
    for (const hash of held === null ? [] : hashesOf(held.value)) {
      sql(`UPDATE ${hosts} SET routes = routes - 1 WHERE hash = ?`).run(hash);
      sql(`DELETE FROM ${hosts} WHERE hash = ? AND routes = 0`).run(hash);
    }
  }

  function toRecord<K extends Kind>(row: Record<string, unknown>): StoredRecord<K> {
    const { kind, id, revision, sealed } = row as { kind: K; id: string; revision: number; sealed: string };
    return {
      kind,
      id,
      revision,
      value: JSON.parse(sealer.open(sealed, context(kind, id))),
    } as unknown as StoredRecord<K>;
  }

  function hashesOf({ hosts: names }: RouteRecord): Buffer[] {
    return [...new Set(names)].map((name) =>
      createHash('sha256').update(home).update(name).digest().subarray(0, 16),
    );
  }
}

export type CacheRows = ReturnType<typeof createCacheRows>;

function context(kind: Kind, id: string): string {
  return `cache/${kind}/${id}`;
}
