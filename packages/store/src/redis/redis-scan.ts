import type { Kind, StoredRecord } from '@lockstep/contract';
import type { Page, PageRequest } from '../interface/config-store.ts';
import type { RareLog } from '../interface/rare-log.ts';
import { splitKey } from '../rules/prepared-commit.ts';
import type { RedisCommands } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';
import { pipelined } from './redis-pipeline.ts';
import { parseRecord } from './redis-records.ts';

/** At 5 Mbit/s less than a second. */
const pageBytes = 524_288;
const leastKeys = 50;

/**
 * `ConfigStore.list` for snapshots: a page ends at so many bytes too, since records differ a hundredfold. A record that cannot be
 * read comes with null as its value, so that whoever follows refuses it by name.
 */
export function createRedisScan({ run }: Pick<RedisCommands, 'run'>, keys: RedisKeys, warn: RareLog) {
  /** How many fitted into the page before. */
  let fitting = leastKeys;

  return async function list<K extends Kind>(
    kind: K,
    { limit, cursor = '' }: PageRequest,
  ): Promise<Page<StoredRecord<K>>> {
    const { ids, records } = keys.of(kind);
    const asked = Math.min(limit, Math.max(2 * fitting, leastKeys));
    const found = await run((redis) =>
      redis.zrangebylex(ids, `(${kind}/${cursor}`, `(${kind}0`, 'LIMIT', 0, asked + 1),
    );
    if (found.length === 0) return { items: [], next: null };
    const sizes = (await run((redis) =>
      pipelined(redis, (pipeline) => {
        for (const key of found) pipeline.hstrlen(records, key);
      }),
    )) as number[];
    fitting = countWithin(sizes.slice(0, asked));
    const page = found.slice(0, fitting);
    const texts = await run((redis) => redis.hmget(records, ...page));
    return {
      items: page.flatMap((key, index) => {
        const text = texts[index];
        return text == null ? [] : [parseRecord<K>(key, text) ?? unreadable<K>(key)];
      }),
      next: found.length > page.length ? splitKey(page.at(-1)!).id : null,
    };
  };

  function unreadable<K extends Kind>(key: string): StoredRecord<K> {
    warn(`record ${key}`, { record: key }, 'a record of the store cannot be read');
    return { ...splitKey(key), revision: 0, value: null } as unknown as StoredRecord<K>;
  }
}

/** How many of the sizes, one at least, make a page. */
export function countWithin(sizes: readonly number[]): number {
  let bytes = 0;
  const over = sizes.findIndex((size) => {
    bytes += size;
    return bytes > pageBytes;
  });
  return over === -1 ? sizes.length : Math.max(over, 1);
}
