import { randomUUID } from 'node:crypto';
import { AppError, isAppError, type Position } from '@lockstep/contract';
import type { ConfigStore, Damage, OpenOptions } from '../interface/config-store.ts';
import type { StoreLog } from '../interface/log.ts';
import { kinshipOf } from '../rules/lineage.ts';
import { isLeftBehind } from '../rules/standing.ts';
import type { RedisCommands } from './redis-commands.ts';
import { notOpened, type RedisHistory } from './redis-history.ts';
import { layout, type RedisKeys } from './redis-keys.ts';
import { refuseOtherLayout } from './redis-log.ts';

const oldestMajor = 7;

/** As `ConfigStore.open`. Throws `bad_configuration` for a server that would lose or cannot keep a history. */
export async function openRedis(
  { read }: RedisCommands,
  keys: RedisKeys,
  history: RedisHistory,
  check: ConfigStore['check'],
  { create, expectedEpoch, earlierEpochs = [], known = null, restored = false }: OpenOptions,
  log: StoreLog,
): Promise<string> {
  checkServer(await read((redis) => redis.info()), log);
  const [restoring, begun] = await read((redis) => redis.hmget(keys.meta, 'restoring', 'epoch'));
  if (restoring !== null) {
    throw new AppError(
      'store_lost',
      'a backup is being put into the store, or that broke off: let it end, or repeat it',
    );
  }
  if (begun === null && create && expectedEpoch === null) {
    // Of two at once, one wins.
    await read((redis) =>
      redis.multi().hsetnx(keys.meta, 'layout', layout).hsetnx(keys.meta, 'epoch', randomUUID()).exec(),
    );
  }
  const [epoch, laidOut] = await read((redis) => redis.hmget(keys.meta, 'epoch', 'layout'));
  if (epoch == null) throw new AppError('store_lost', 'the store is empty');
  refuseOtherLayout(laidOut);
  const damages = await check().catch((error: unknown) => {
    if (isAppError(error, 'bad_configuration')) return []; // a user that may only read: it mends nothing, and commits nothing
    throw error;
  });
  if (expectedEpoch === null) history.begin(epoch);
  else history.begin(expectedEpoch, earlierEpochs);
  if (known !== null) history.see(known);
  if (restored) {
    history.begin(epoch);
    await history.turn('restored', known === null ? null : await gone(history, epoch, known, damages));
  } else if (expectedEpoch !== null && epoch !== expectedEpoch) {
    if (!(await history.adopt())) throw notOpened();
  } else if (known !== null) await history.leftBehind(known);
  return (await history.head()).epoch;
}

/** What is known, unless the store still has it, or has told already that it is gone. */
async function gone(
  history: RedisHistory,
  epoch: string,
  known: Position,
  damages: Damage[],
): Promise<Position | null> {
  if (damages.some(({ mended }) => !mended)) return known;
  if (known.epoch !== epoch) {
    return kinshipOf(epoch, await history.listTurns(), [known.epoch]) === 'turned' ? null : known;
  }
  const [standing] = await history.standingOf([known]);
  return isLeftBehind(standing!) ? known : null;
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
