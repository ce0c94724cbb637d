import { isIP } from 'node:net';
import type { DeniedAddresses } from '@lockstep/pki/denied-addresses';
import { createUpstreamConnector } from './upstream-connector.ts';
import { createUpstreamPool, type UpstreamLimits, type UpstreamPool } from './upstream-pool.ts';

export interface UpstreamPoolsOptions {
  /** In force at the next use. */
  limits(): UpstreamLimits;
  denied(): DeniedAddresses;
}

/** One upstream origin, shared by every route that names it. Who holds it can use it for as long as he does. */
export interface Upstream {
  readonly origin: string;
  /** The name an https upstream is to prove; undefined for an address, which proves the name the client asked for. */
  readonly servername: string | undefined;
  readonly pool: UpstreamPool;
  readonly limits: () => UpstreamLimits;
}

export interface UpstreamPools {
  acquire(origin: string): Upstream;
  /** Given back by its last user, it keeps no idle connection; exchanges under way end as they would have. */
  release(upstream: Upstream): void;
  /** Limits or denied addresses changed. */
  renew(): void;
  /** Connections to upstreams, and requests that wait for one. */
  figures(): { open: number; pending: number };
  close(): Promise<void>;
}

interface Entry extends Upstream {
  users: number;
}

export function createUpstreamPools({ limits, denied }: UpstreamPoolsOptions): UpstreamPools {
  const entries = new Map<string, Entry>();
  /** No route names them any more, and something of them is still open. */
  const retired = new Set<Entry>();

  function make(origin: string): Entry {
    const url = new URL(origin);
    const connect = createUpstreamConnector({ origin: url, connectMs: () => limits().connectMs, denied });
    return {
      origin,
      servername: isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0 ? url.hostname : undefined,
      pool: createUpstreamPool({ origin, connect, limits }),
      limits,
      users: 0,
    };
  }

  function forgetRetired(): void {
    for (const entry of retired) {
      if (entry.pool.open === 0 && entry.pool.pending === 0) retired.delete(entry);
    }
  }

  return {
    acquire(origin) {
      let entry = entries.get(origin);
      if (entry === undefined) {
        entry = make(origin);
        entries.set(origin, entry);
      }
      entry.users += 1;
      return entry;
    },
    release(upstream) {
      const entry = entries.get(upstream.origin);
      if (entry === undefined || entry !== upstream) return;
      entry.users -= 1;
      if (entry.users > 0) return;
      entries.delete(upstream.origin);
      entry.pool.retire();
      retired.add(entry);
      forgetRetired();
    },
    renew() {
      for (const { pool } of entries.values()) pool.renew();
    },
    figures() {
      forgetRetired();
      let open = 0;
      let pending = 0;
      for (const all of [entries.values(), retired]) {
        for (const { pool } of all) {
          open += pool.open;
          pending += pool.pending;
        }
      }
      return { open, pending };
    },
    async close() {
      await Promise.all([...entries.values(), ...retired].map(({ pool }) => pool.destroy()));
      entries.clear();
      retired.clear();
    },
  };
}
