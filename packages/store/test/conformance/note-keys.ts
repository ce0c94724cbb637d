import type { Redis } from 'ioredis';

/** Notes all keys of a store; what it gives puts them back, as a restore or a fail-over to a replica that lags would. */
export async function noteKeys(admin: Redis, prefix: string): Promise<() => Promise<void>> {
  const keys = await admin.keys(`{${prefix}}:*`);
  const dumps = await Promise.all(
    keys.map(async (key) => [key, await admin.dumpBuffer(key), await admin.pttl(key)] as const),
  );
  return async () => {
    const all = admin.multi();
    for (const key of await admin.keys(`{${prefix}}:*`)) all.del(key);
    for (const [key, dump, ttl] of dumps) all.restore(key, Math.max(ttl, 0), dump);
    await all.exec();
  };
}
