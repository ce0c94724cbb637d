import { type EventBounds, eventId, parseEventId } from '@lockstep/contract';
import type { ConfigStore } from '../interface/config-store.ts';
import { toEventPage } from '../rules/event-page.ts';
import type { RedisCommands } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';
import { namedFields } from './redis-log.ts';

/** As `ConfigStore.readEvents`. */
export function createRedisEvents(
  { run }: Pick<RedisCommands, 'run'>,
  keys: RedisKeys,
  now: () => Promise<number>,
  bounds: () => EventBounds,
): ConfigStore['readEvents'] {
  return async ({ after = null, limit }) => {
    const place = after === null || after === '' ? null : parseEventId(after);
    const from = place === null ? '-' : `(${place.number}-${place.index}`;
    // What ends the history has to be read before the history: what comes between both is then no gap.
    const last = (await run((redis) => redis.hget(keys.meta, 'lastEvent'))) ?? '';
    const found =
      limit === 0 ? [] : await run((redis) => redis.xrange(keys.events, from, '+', 'COUNT', limit));
    const kept = found.map(([id, fields]) => {
      const named = namedFields(fields);
      const [number, index] = id.split('-');
      return {
        id: eventId(named.get('epoch') ?? '', Number(number), Number(index)),
        at: Number(named.get('at')),
        previous: named.get('previous') ?? '',
        json: named.get('event') ?? '',
      };
    });
    return toEventPage({ kept, last, after, limit, now: await now(), bounds: bounds() });
  };
}
