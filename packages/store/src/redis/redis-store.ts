import type { ConfigStore } from '../config-store.ts';
import type { StoreLog } from '../log.ts';

export interface RedisStoreOptions {
  /**
   * `redis://` or `rediss://` `[user:password@]host:port[/db]`, `redis+sentinel://[user:password@]host:port,host:port/master-name`,
   * `redis+cluster://[user:password@]host:port,host:port`.
   */
  url: string;
  /** All keys and channels begin with `{prefix}:`. */
  prefix?: string;
  /** How many entries the change log keeps. */
  logEntries?: number;
  log?: StoreLog;
}

export function createRedisStore(_options: RedisStoreOptions): ConfigStore {
  throw new Error('not written yet');
}
