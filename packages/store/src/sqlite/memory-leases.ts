import type { Lease } from '../interface/config-store.ts';
import { leaseLost } from '../rules/prepared-commit.ts';

/** So many grants before the tokens of one process would reach those of the next. */
const tokensPerProcess = 2 ** 32;
/** Nobody releases a lease that is left to run out: beyond so many, those are looked for. */
const leastPruned = 1_000;

/**
 * The leases of the embedded store. They end with the process, as all that could hold one does; so whoever comes after it goes on at
 * once. `nextGeneration` gives a number that grows with each process that opens the store.
 */
export function createMemoryLeases(nextGeneration: () => number, now: () => number) {
  const leases = new Map<string, Lease>();
  let lastToken: number | null = null;
  let pruneAt = leastPruned;

  function prune(): void {
    for (const [name, { expiresAt }] of leases) if (expiresAt <= now()) leases.delete(name);
    pruneAt = Math.max(leastPruned, 2 * leases.size);
  }

  function isHeld({ name, token }: Lease): boolean {
    const held = leases.get(name);
    return held !== undefined && held.token === token && held.expiresAt > now();
  }

  return {
    isHeld,

    acquire(name: string, ttlMs: number): Lease | null {
      const held = leases.get(name);
      if (held !== undefined && held.expiresAt > now()) return null;
      lastToken = (lastToken ?? nextGeneration() * tokensPerProcess) + 1;
      const lease = { name, token: lastToken, expiresAt: now() + ttlMs };
      leases.set(name, lease);
      if (leases.size > pruneAt) prune();
      return { ...lease };
    },

    renew(lease: Lease, ttlMs: number): Lease {
      if (!isHeld(lease)) throw leaseLost(lease.name);
      const renewed = { ...lease, expiresAt: now() + ttlMs };
      leases.set(lease.name, renewed);
      return { ...renewed };
    },

    release({ name, token }: Lease): void {
      if (leases.get(name)?.token === token) leases.delete(name);
    },
  };
}
