import type { ConfigStore } from '../config-store.ts';

export interface SqliteStoreOptions {
  /** The file; `:memory:` for a store that ends with the process. */
  path: string;
  now?: () => number;
  /** How many entries the change log keeps. */
  logEntries?: number;
}

export function createSqliteStore(_options: SqliteStoreOptions): ConfigStore {
  throw new Error('not written yet');
}
