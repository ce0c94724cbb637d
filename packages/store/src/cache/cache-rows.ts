import { createHash } from 'node:crypto';
import {
  AppError,
  broughtUpToDate,
  edgeKinds,
  type Kind,
  type StoredRecord,
  servedHosts,
  withVersion,
} from '@lockstep/contract';
import { type Sql, transact } from '../sqlite/statements.ts';
import type { Sealer } from './sealer.ts';

const rowsSealedAtOnce = 1_000;

/** A row as it stands on the disk; only its key can be read without the secret key. */
export interface SealedRow {
  kind: Kind;
  id: string;
  revision: number;
  sealed: string;
}

export interface RowPage {
  records: StoredRecord[];
  /** Rows, damaged ones as well. */
  found: number;
  /** Where the page after this one begins; null on the last. */
  next: string | null;
}

export interface CacheRowsOptions {
  sealer: Sealer;
  home: string;
  /** Chooses between what is served and what is staged. Default: what is served. */
  prefix?: 'staged_';
  /** A row that does not open, or holds no JSON, was altered: the key was found right before. */
  onDamaged(row: Omit<SealedRow, 'sealed'>): void;
}

/**
 * Sealed rows, and beside them how many routes name each host: counting hosts must neither open all rows nor show a name.
 * A damaged row counts as one that is not there.
 */
export function createCacheRows({ sealer, home, prefix, onDamaged }: CacheRowsOptions) {
  const records = `${prefix ?? ''}records`;
  const hosts = `${prefix ?? ''}hosts`;
  return { get, revisionOf, put, putSealed, remove, page, countHosts, sealAnew };

  function get<K extends Kind>(sql: Sql, kind: K, id: string): StoredRecord<K> | null {
    const row = sql(`SELECT kind, id, revision, sealed FROM ${records} WHERE kind = ? AND id = ?`).get(
      kind,
      id,
    );
    return row === undefined ? null : open<K>(row as unknown as SealedRow);
  }

  function revisionOf(sql: Sql, kind: Kind, id: string): number | null {
    const row = sql(`SELECT revision FROM ${records} WHERE kind = ? AND id = ?`).get(kind, id);
    return row === undefined ? null : Number(row.revision);
  }

  function put(sql: Sql, record: StoredRecord): void {
    const { kind, id, revision, value } = record;
    dropHosts(sql, kind, id);
    insert(sql, {
      kind,
      id,
      revision,
      sealed: sealer.seal(JSON.stringify(withVersion(kind, value ?? null)), contextOf(record)),
    });
    addHosts(sql, record);
  }

  /** Takes over a row as it is, unless it is damaged. */
  function putSealed(sql: Sql, row: SealedRow): void {
    const record = open(row);
    if (record === null) return;
    insert(sql, row);
    addHosts(sql, record);
  }

  function remove(sql: Sql, { kind, id }: { kind: Kind; id: string }): void {
    dropHosts(sql, kind, id);
    sql(`DELETE FROM ${records} WHERE kind = ? AND id = ?`).run(kind, id);
  }

  /** Records of `kind` behind `after`, by id. */
  function page(sql: Sql, kind: Kind, after: string, limit: number): RowPage {
    const found = sql(
      `SELECT kind, id, revision, sealed FROM ${records} WHERE kind = ? AND id > ? ORDER BY id LIMIT ?`,
    ).all(kind, after, limit) as unknown as SealedRow[];
    return {
      records: found.map((row) => open(row)).filter((record) => record !== null),
      found: found.length,
      next: found.length < limit ? null : found.at(-1)!.id,
    };
  }

  function countHosts(sql: Sql): number {
    return Number(sql(`SELECT count(*) AS n FROM ${hosts}`).get()?.n);
  }

  /** Some at a time, each time in a transaction of its own. A damaged row stays as it is. */
  function sealAnew(sql: Sql): void {
    const read = sql(
      `SELECT rowid, kind, id, revision, sealed FROM ${records} WHERE rowid > ? ORDER BY rowid LIMIT ${rowsSealedAtOnce}`,
    );
    const write = sql(`UPDATE ${records} SET sealed = ? WHERE rowid = ?`);
    for (let after = 0; ; ) {
      const found = read.all(after) as unknown as (SealedRow & { rowid: number })[];
      if (found.length === 0) return;
      transact(sql, () => {
        for (const row of found) {
          const sealed = resealed(row);
          if (sealed !== null) write.run(sealed, row.rowid);
        }
      });
      after = Number(found.at(-1)!.rowid);
    }
  }

  /** Null where it needs not be, or cannot. */
  function resealed(row: SealedRow): string | null {
    if (sealer.isCurrent(row.sealed)) return null;
    try {
      return sealer.seal(sealer.open(row.sealed, contextOf(row)), contextOf(row));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return null;
    }
  }

  function insert(sql: Sql, { kind, id, revision, sealed }: SealedRow): void {
    sql(`INSERT OR REPLACE INTO ${records} (kind, id, revision, sealed) VALUES (?, ?, ?, ?)`).run(
      kind,
      id,
      revision,
      sealed,
    );
  }

  function addHosts(sql: Sql, record: StoredRecord): void {
    const add = sql(
      `INSERT INTO ${hosts} (hash, routes) VALUES (?, 1) ON CONFLICT (hash) DO UPDATE SET routes = routes + 1`,
    );
    for (const hash of hashesOf(record)) add.run(hash);
  }

  function dropHosts(sql: Sql, kind: Kind, id: string): void {
    const held = kind === 'route' ? get(sql, kind, id) : null;
    for (const hash of held === null ? [] : hashesOf(held)) {
      sql(`UPDATE ${hosts} SET routes = routes - 1 WHERE hash = ?`).run(hash);
      sql(`DELETE FROM ${hosts} WHERE hash = ? AND routes = 0`).run(hash);
    }
  }

  function open<K extends Kind>(row: SealedRow): StoredRecord<K> | null {
    const { kind, id, revision, sealed } = row;
    try {
      const value = broughtUpToDate(kind, JSON.parse(sealer.open(sealed, contextOf(row))));
      return { kind, id, revision, value } as unknown as StoredRecord<K>;
    } catch (error) {
      if (!(error instanceof AppError || error instanceof SyntaxError || error instanceof TypeError))
        throw error;
      onDamaged({ kind, id, revision });
      return null;
    }
  }

  /** A record that no edge can read is kept as it is, and counts for no host. */
  function hashesOf({ kind, value }: StoredRecord): Buffer[] {
    const { hosts: names, alsoServe, unproven } = (kind === 'route' ? value : null) ?? {};
    if (!Array.isArray(names)) return [];
    const named = names.filter((name) => typeof name === 'string');
    const waiting = Array.isArray(unproven) ? unproven : undefined;
    const known = alsoServe === 'www' || alsoServe === 'apex' ? alsoServe : undefined;
    return [...new Set(servedHosts({ hosts: named, alsoServe: known, unproven: waiting }))].map((name) =>
      createHash('sha256').update(home).update(name).digest().subarray(0, 16),
    );
  }
}

export type CacheRows = ReturnType<typeof createCacheRows>;

/** The revision is part of it: a row is whole or it does not open. */
function contextOf({ kind, id, revision }: { kind: Kind; id: string; revision: number }): string {
  return `cache/${kind}/${id}/${revision}`;
}

export function countRecords(sql: Sql, kind: Kind): number {
  return Number(sql('SELECT count(*) AS n FROM records WHERE kind = ?').get(kind)?.n);
}

/** Whether it can be kept: what was read may be of any shape, and what is for control planes alone has no place on an edge's disk. */
export function hasName(record: { kind: unknown; id: unknown } | null | undefined): boolean {
  return (
    typeof record === 'object' &&
    record !== null &&
    typeof record.id === 'string' &&
    edgeKinds.includes(record.kind as Kind)
  );
}
