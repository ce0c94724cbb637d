import type { Lease } from '../interface/config-store.ts';
import { leaseLost } from '../rules/prepared-commit.ts';
import { type RedisCommands, readScript } from './redis-commands.ts';
import type { RedisKeys } from './redis-keys.ts';

const acquireLease = readScript('acquire-lease.lua');
const renewLease = readScript('renew-lease.lua');
const releaseLease = readScript('release-lease.lua');

export function createRedisLeases({ runScript }: RedisCommands, keys: RedisKeys) {
  return {
    async acquire(name: string, ttlMs: number): Promise<Lease | null> {
      const granted = await runScript(acquireLease, [keys.lease(name), keys.fence], [Math.ceil(ttlMs)]);
      const [token, expiresAt] = granted as [number?, number?];
      return token === undefined || expiresAt === undefined ? null : { name, token, expiresAt };
    },

    async renew(lease: Lease, ttlMs: number): Promise<Lease> {
      const args = [lease.token, Math.ceil(ttlMs)];
      const expiresAt = Number(await runScript(renewLease, [keys.lease(lease.name)], args));
      if (expiresAt < 0) throw leaseLost(lease.name);
      return { ...lease, expiresAt };
    },

    async release(lease: Lease): Promise<void> {
      await runScript(releaseLease, [keys.lease(lease.name)], [lease.token]);
    },
  };
}
