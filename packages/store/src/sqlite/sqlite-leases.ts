import type { Lease } from '../config-store.ts';
import { leaseLost } from '../prepared-commit.ts';
import { type Sql, transact } from './statements.ts';

export function createSqliteLeases(sql: Sql, now: () => number) {
  return {
    acquire(name: string, ttlMs: number): Lease | null {
      return transact(sql, () => {
        const at = now();
        const held = sql('SELECT 1 FROM leases WHERE name = ? AND expires_at > ?').get(name, at);
        if (held !== undefined) return null;
        const row = sql(`INSERT INTO meta (key, value) VALUES ('fence', 1)
          ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value`).get();
        const lease = { name, token: Number(row?.value), expiresAt: at + ttlMs };
        sql('DELETE FROM leases WHERE expires_at <= ?').run(at);
        sql('INSERT INTO leases (name, token, expires_at) VALUES (?, ?, ?)').run(
          name,
          lease.token,
          lease.expiresAt,
        );
        return lease;
      });
    },

    renew(lease: Lease, ttlMs: number): Lease {
      const at = now();
      const { changes } = sql(
        'UPDATE leases SET expires_at = ? WHERE name = ? AND token = ? AND expires_at > ?',
      ).run(at + ttlMs, lease.name, lease.token, at);
      if (changes === 0) throw leaseLost(lease.name);
      return { ...lease, expiresAt: at + ttlMs };
    },

    release(lease: Lease): void {
      sql('DELETE FROM leases WHERE name = ? AND token = ?').run(lease.name, lease.token);
    },
  };
}
