import { isIP } from 'node:net';
import { Pool } from 'undici';

export interface UpstreamOptions {
  connectTimeoutMs: number;
  headersTimeoutMs: number;
}

/** One upstream origin, shared by every route that names it. */
export interface Upstream {
  readonly origin: string;
  /** The name an https upstream is to prove; undefined for an address, which proves the name the client asked for. */
  readonly servername: string | undefined;
  /** Connects at the first request. */
  pool(): Pool;
}

export interface UpstreamPools {
  acquire(origin: string): Upstream;
  /** Given back by its last user, a pool closes after the requests in flight. */
  release(upstream: Upstream): void;
  close(): Promise<void>;
}

interface Entry extends Upstream {
  users: number;
  opened: Pool | null;
}

export function createUpstreamPools(options: UpstreamOptions): UpstreamPools {
  const entries = new Map<string, Entry>();

  function open(origin: string): Pool {
    return new Pool(origin, {
      allowH2: false,
      connectTimeout: options.connectTimeoutMs,
      headersTimeout: options.headersTimeoutMs,
      bodyTimeout: 0, // an event stream may be silent for as long as it likes
      pipelining: 1,
    });
  }

  return {
    acquire(origin) {
      let entry = entries.get(origin);
      if (entry === undefined) {
        const { hostname } = new URL(origin);
        const made: Entry = {
          origin,
          servername: isIP(hostname.replace(/^\[|\]$/g, '')) === 0 ? hostname : undefined,
          users: 0,
          opened: null,
          pool() {
            made.opened ??= open(origin);
            return made.opened;
          },
        };
        entry = made;
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
      void entry.opened?.close();
    },
    async close() {
      await Promise.all([...entries.values()].map((entry) => entry.opened?.destroy()));
      entries.clear();
    },
  };
}
