import type { JournalBounds } from '@lockstep/contract';
import type { ConfigStore } from '../interface/config-store.ts';
import { toJournalEntry } from '../rules/journal-entry.ts';
import { splitKey } from '../rules/prepared-commit.ts';
import type { RedisCommands } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';
import { namedFields } from './redis-log.ts';

/** As `ConfigStore.readJournal`; entries that cannot be read are left out. */
export function createRedisJournal(
  { run }: Pick<RedisCommands, 'run'>,
  keys: RedisKeys,
  now: () => Promise<number>,
  bounds: () => JournalBounds,
): ConfigStore['readJournal'] {
  return async ({ limit, cursor }) => {
    const { ageMs, entries } = bounds();
    const oldest = String(Math.max(0, (await now()) - ageMs));
    const count = Math.min(limit, entries);
    if (count === 0) return { items: [], next: null };
    const from = cursor === undefined ? '+' : `(${cursor}`;
    const found = await run((redis) => redis.xrevrange(keys.journal, from, oldest, 'COUNT', count));
    return {
      items: found.flatMap(([id, fields]) => {
        const named = namedFields(fields);
        const [epoch = '', number, commitId = ''] = (named.get('position') ?? '').split(' ');
        return (
          toJournalEntry({
            at: Number(id.split('-')[0]),
            position: { epoch, number: Number(number), commitId },
            origin: named.get('origin') ?? '',
            ...splitKey(named.get('record') ?? ''),
            before: named.get('before') ?? '',
            after: named.get('after') ?? '',
          }) ?? []
        );
      }),
      next: found.length < count ? null : found.at(-1)![0],
    };
  };
}
