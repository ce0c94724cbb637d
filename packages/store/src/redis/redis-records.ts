import {
  broughtUpToDate,
  isReadable,
  type Kind,
  type StoredRecord,
  unreadableRecord,
} from '@lockstep/contract';
import type { ConfigStore, PageRequest } from '../interface/config-store.ts';
import type { RareLog } from '../interface/rare-log.ts';
import { dueOfScore, dueScore, splitKey } from '../rules/prepared-commit.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';

const claimsScript = readScript('find-claims.lua');

type Reads = Pick<
  ConfigStore,
  'get' | 'getMany' | 'list' | 'count' | 'listDue' | 'countDue' | 'nextDue' | 'findClaims'
>;

/**
 * A record that cannot be read is named in the log. `get` throws `internal` for it; where others are read with it, it is left
 * out.
 */
export function createRedisRecords(
  { read, readByScript }: RedisCommands,
  keys: RedisKeys,
  warn: RareLog,
): Reads {
  return {
    async get(kind, id) {
      const key = `${kind}/${id}`;
      const text = await read((redis) => redis.hget(keys.of(kind).records, key));
      const record = parse<typeof kind>(key, text);
      if (record !== undefined) return record;
      // As the script of a commit sees it, which expects it of whoever puts it anew.
      const revision = /^\d+/.exec(text ?? '')?.[0];
      throw unreadableRecord(kind, id, revision === undefined ? null : Number(revision));
    },

    async getMany(kind, ids) {
      return readAll(
        kind,
        ids.map((id) => `${kind}/${id}`),
      );
    },

    async list<K extends Kind>(kind: K, { limit, cursor = '' }: PageRequest) {
      // `0` is the byte after `/`, so this is every id of the kind behind the cursor.
      const found = await read((redis) =>
        redis.zrangebylex(keys.of(kind).ids, `(${kind}/${cursor}`, `(${kind}0`, 'LIMIT', 0, limit + 1),
      );
      const page = found.slice(0, limit);
      const records = await readAll(kind, page);
      return {
        items: records.filter((record) => record !== null),
        next: found.length > limit ? splitKey(page.at(-1)!).id : null,
      };
    },

    async count(kind) {
      return read((redis) => redis.zlexcount(keys.of(kind).ids, `[${kind}/`, `(${kind}0`));
    },

    async listDue<K extends Kind>(kind: K, until: number, limit: number, lane = 0) {
      const found = await read((redis) =>
        redis.zrangebyscore(keys.due(kind), dueScore(0, lane), dueScore(until, lane), 'LIMIT', 0, limit),
      );
      return (await readAll(kind, found)).filter((record) => record !== null);
    },

    async countDue(kind, until, lane = 0) {
      return read((redis) => redis.zcount(keys.due(kind), dueScore(0, lane), dueScore(until, lane)));
    },

    async nextDue(kind, lane = 0) {
      const [, score] = await read((redis) =>
        redis.zrangebyscore(
          keys.due(kind),
          dueScore(0, lane),
          dueScore(Number.MAX_SAFE_INTEGER, lane),
          'WITHSCORES',
          'LIMIT',
          0,
          1,
        ),
      );
      return score === undefined ? null : dueOfScore(Number(score));
    },

    async findClaims(prefix, limit, after) {
      // No UTF-8 text has the byte 0xff, so it is above every claim that begins with the prefix.
      const end = Buffer.concat([Buffer.from(`(${prefix}`), Buffer.of(0xff)]);
      const from = after === undefined ? `[${prefix}` : `(${after}`;
      const found = await readByScript(claimsScript, [keys.claimIndex, keys.claims], [from, end, limit]);
      const [claims, holders] = found as [string[], string[]];
      return claims.map((claim, index) => ({ claim, ...splitKey(holders[index]!) }));
    },
  };

  async function readAll<K extends Kind>(kind: K, recordKeys: string[]): Promise<(StoredRecord<K> | null)[]> {
    if (recordKeys.length === 0) return [];
    const texts = await read((redis) => redis.hmget(keys.of(kind).records, ...recordKeys));
    return recordKeys.map((key, index) => parse<K>(key, texts[index] ?? null) ?? null);
  }

  /** Undefined for one that cannot be read. */
  function parse<K extends Kind>(key: string, text: string | null): StoredRecord<K> | null | undefined {
    if (text === null) return null;
    const record = parseRecord<K>(key, text);
    if (record !== null && isReadable(record)) return record;
    warn(`record ${key}`, { record: key }, 'a record of the store cannot be read');
    return undefined;
  }
}

/** Null for a text that is not what the commit script writes; what it returns may be of a version that is not known here. */
export function parseRecord<K extends Kind>(key: string, text: string): StoredRecord<K> | null {
  const first = text.indexOf('\n');
  const second = text.indexOf('\n', first + 1);
  const revision = /^(\d{1,15})(?: \d{1,16})?$/.exec(text.slice(0, first))?.[1];
  if (first === -1 || second === -1 || revision === undefined) return null;
  try {
    const name = splitKey(key);
    const value = broughtUpToDate(name.kind, JSON.parse(text.slice(second + 1)));
    const record = { ...name, revision: Number(revision), value };
    return typeof value === 'object' && value !== null ? (record as unknown as StoredRecord<K>) : null;
  } catch {
    return null;
  }
}
