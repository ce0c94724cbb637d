import { randomUUID } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import type { OpenOptions } from '../config-store.ts';
import type { StoreLog } from '../log.ts';
import type { RedisCommands } from './redis-commands.ts';
import type { RedisHistory } from './redis-history.ts';
import type { RedisKeys } from './redis-keys.ts';

const oldestMajor = 7;

/** As `ConfigStore.open`. Throws `bad_configuration` for a server that would lose or cannot keep a history. */
export async function openRedis(
  { read }: RedisCommands,
  keys: RedisKeys,
  history: RedisHistory,
  { create, expectedEpoch, known = null, restored = false }: OpenOptions,
  log: StoreLog,
): Promise<string> {
  checkServer(await read((redis) => redis.info()), log);
  const [restoring] = await read((redis) => redis.hmget(keys.meta, 'restoring'));
  if (restoring !== null) {
    throw new AppError(
      'store_lost',
      'a backup is being put into the store, or that broke off: let it end, or repeat it',
    );
  }
  if (create && expectedEpoch === null) {
    await read((redis) => redis.hsetnx(keys.meta, 'epoch', randomUUID())); // of two at once, one wins
  }
  const epoch = await read((redis) => redis.hget(keys.meta, 'epoch'));
  if (epoch === null) throw new AppError('store_lost', 'the store is empty');
  if (expectedEpoch !== null && epoch !== expectedEpoch) {
    const turned = (await history.listTurns()).some(({ kept }) => kept.epoch === expectedEpoch);
    if (!turned)
      throw new AppError('store_lost', 'the store does not hold the history that was there before');
  }
  history.begin(epoch);
  const mine = known?.epoch === epoch ? known : null;
  if (restored) await history.turn('restored', mine);
  else if (mine !== null) await history.leftBehind(mine);
  return (await history.head()).epoch;
}

// From INFO: many managed servers refuse CONFIG.
function checkServer(info: string, log: StoreLog): void {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1];
  const version = field('redis_version');
  if (version !== undefined && Number.parseInt(version, 10) < oldestMajor) {
    throw new AppError(
      'bad_configuration',
      `the store is Redis ${version}; Lockstep needs ${oldestMajor} or newer`,
    );
  }
  const policy = field('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    throw new AppError(
      'bad_configuration',
      `the store evicts records when its memory is full (maxmemory-policy ${policy}); set it to noeviction`,
    );
  }
  if (field('aof_enabled') === '0') {
    log.warn({}, 'the store keeps no append-only file: a crash of Redis loses commits; set appendonly yes');
  }
}
