export { readBackup, writeBackup } from './backup/backup-file.ts';
export { dumpRedis, fillRedis } from './backup/redis-backup.ts';
export { dumpSqlite, fillSqlite } from './backup/sqlite-backup.ts';
export * from './cache/config-cache.ts';
export * from './config-store.ts';
export type { StoreLog } from './log.ts';
export { createRedisStore, type RedisStoreOptions } from './redis/redis-store.ts';
export { storeAddresses } from './redis/store-url.ts';
export { createSqliteStore, type SqliteStoreOptions } from './sqlite/sqlite-store.ts';
