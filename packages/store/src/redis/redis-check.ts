import { AppError, kinds } from '@lockstep/contract';
import type { Damage } from '../interface/config-store.ts';
import type { RareLog } from '../interface/rare-log.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';

const checkStore = readScript('check-store.lua');

/** As `ConfigStore.check`. */
export function createRedisCheck({ runScript }: RedisCommands, keys: RedisKeys, warn: RareLog) {
  return async function check(): Promise<Damage[]> {
    const { meta, control, edge, claims, claimIndex, history, turns, fence, nodeIds, journal } = keys;
    const told = (await runScript(
      checkStore,
      [
        meta,
        ...[control.records, edge.records, control.ids, edge.ids, claims, claimIndex],
        ...[control.log, edge.log, history, turns, fence, nodeIds, journal, keys.events],
        ...keys.allDue,
      ],
      [...kinds],
    )) as string[];
    const damages: Damage[] = [];
    for (let at = 0; at + 2 < told.length; at += 3) {
      damages.push({ key: told[at]!, detail: told[at + 1]!, mended: told[at + 2] === '1' });
    }
    for (const { key, detail, mended } of damages)
      warn(
        `key ${key} ${detail}`,
        { key, mended },
        `a key of the store ${detail}${mended ? '; it was made anew' : ''}`,
      );
    return damages;
  };
}

/** What cannot be made anew: nothing is read or written any more. */
export function damaged(key: string, detail: string): AppError {
  return new AppError('store_lost', `the store is damaged: its key ${key} ${detail}; restore a backup`, {
    facts: { key },
  });
}
