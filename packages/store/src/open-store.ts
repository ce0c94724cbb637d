import type { Position } from '@lockstep/contract';
import type { Backup, Dump } from './backup/backup-file.ts';
import type { ConfigStore } from './interface/config-store.ts';
import type { StoreLog } from './interface/log.ts';

// Which backend an address means is decided here alone. Each is loaded when it is named: an edge is to start light.

/**
 * `redis://` and its brothers (see `RedisStoreOptions`), or `sqlite:` and the path of a file, which `:memory:` may stand for.
 */
export type StoreUrl = string;

export interface OpenStoreOptions {
  /** All keys and channels in Redis begin with it; a file has one store. */
  prefix?: string | undefined;
  log?: StoreLog | undefined;
}

/** The store of this address. Throws `bad_configuration` for an address that cannot be read, and for a file as `createSqliteStore` does. */
export async function openStore(url: StoreUrl, { prefix, log }: OpenStoreOptions = {}): Promise<ConfigStore> {
  const path = pathOf(url);
  if (path !== null) return (await import('./sqlite/sqlite-store.ts')).createSqliteStore({ path });
  const { createRedisStore } = await import('./redis/redis-store.ts');
  return createRedisStore({
    url,
    ...(prefix !== undefined && { prefix }),
    ...(log !== undefined && { log }),
  });
}

/** Every record of the store, as `dumpRedis` and `dumpSqlite` give them. */
export async function* dumpStore(url: StoreUrl, prefix: string): Dump {
  const path = pathOf(url);
  if (path !== null) return yield* (await import('./backup/sqlite-backup.ts')).dumpSqlite(path);
  return yield* (await import('./backup/redis-backup.ts')).dumpRedis({ url, prefix });
}

/** Puts a backup into an empty store, as `fillRedis` and `fillSqlite` do. */
export async function fillStore(url: StoreUrl, prefix: string, backup: Backup): Promise<Position> {
  const path = pathOf(url);
  if (path !== null) return (await import('./backup/sqlite-backup.ts')).fillSqlite(path, backup);
  return (await import('./backup/redis-backup.ts')).fillRedis({ url, prefix }, backup);
}

function pathOf(url: StoreUrl): string | null {
  return /^sqlite:(.+)$/s.exec(url)?.[1] ?? null;
}
