import type { DeniedAddresses } from '@lockstep/pki/denied-addresses';
import type { AnswerHandler } from './answer-handler.ts';
import type { FailureLog } from './failure-log.ts';
import type { RequestBody } from './request-body.ts';
import { RoundRobin, type UpstreamChoice } from './upstream-choice.ts';
import { createUpstreamConnector } from './upstream-connector.ts';
import { createUpstreamPool, type UpstreamLimits, type UpstreamPool } from './upstream-pool.ts';
import { type OutgoingRequest, type RequestTargets, UpstreamRequest } from './upstream-request.ts';

export interface UpstreamsOptions {
  /** In force at the next use. */
  limits(): UpstreamLimits;
  denied(): DeniedAddresses;
  /** Told of each failure, with the upstream that it was of. */
  onFailure: FailureLog['note'];
}

/** The upstreams of one route. Who holds them can use them for as long as he does. */
export interface UpstreamGroup {
  /**
   * Sends a request to the one whose turn it is, and to another one when that cannot be reached. Whatever comes of it is told to `handler`, of a
   * full upstream before this returns.
   */
  send(
    request: OutgoingRequest,
    body: RequestBody | null,
    upgrade: boolean,
    handler: AnswerHandler,
  ): UpstreamRequest;
}

/** What can be done with a request that was sent. */
export type { UpstreamRequest } from './upstream-request.ts';

/** All upstreams of a worker; those of one origin share their connections. */
export interface Upstreams {
  /** Throws, with nothing kept, when one of the origins cannot be used. */
  acquire(origins: readonly string[]): UpstreamGroup;
  /** Given back by its last user, an upstream keeps no idle connection; exchanges under way end as they would have. */
  release(group: UpstreamGroup): void;
  /** Limits or denied addresses changed. */
  renew(): void;
  /** Connections to upstreams, and requests that wait for one. */
  figures(): { open: number; pending: number };
  close(): Promise<void>;
}

interface Entry {
  pool: UpstreamPool;
  users: number;
}

class Group implements UpstreamGroup, RequestTargets {
  readonly upstreams: readonly UpstreamPool[];
  readonly choice: UpstreamChoice;
  readonly onFailure: FailureLog['note'];

  constructor(upstreams: readonly UpstreamPool[], onFailure: FailureLog['note']) {
    this.upstreams = upstreams;
    this.choice = new RoundRobin(upstreams.length);
    this.onFailure = onFailure;
  }

  send(
    request: OutgoingRequest,
    body: RequestBody | null,
    upgrade: boolean,
    handler: AnswerHandler,
  ): UpstreamRequest {
    const upstreamRequest = new UpstreamRequest(this, request, body, upgrade, handler);
    upstreamRequest.start();
    return upstreamRequest;
  }
}

export function createUpstreams({ limits, denied, onFailure }: UpstreamsOptions): Upstreams {
  const entries = new Map<string, Entry>();
  /** No route names them any more, and something of them is still open. */
  const retired = new Set<UpstreamPool>();

  function acquire(origin: string): UpstreamPool {
    let entry = entries.get(origin);
    if (entry === undefined) {
      const url = new URL(origin);
      const connect = createUpstreamConnector({ origin: url, connectMs: () => limits().connectMs, denied });
      entry = { pool: createUpstreamPool({ origin, connect, limits }), users: 0 };
      entries.set(origin, entry);
    }
    entry.users += 1;
    return entry.pool;
  }

  function release(pool: UpstreamPool): void {
    const entry = entries.get(pool.origin);
    if (entry?.pool !== pool) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    entries.delete(pool.origin);
    pool.retire();
    retired.add(pool);
    forgetRetired();
  }

  function forgetRetired(): void {
    for (const pool of retired) if (pool.open === 0 && pool.pending === 0) retired.delete(pool);
  }

  function all(): UpstreamPool[] {
    return [...[...entries.values()].map(({ pool }) => pool), ...retired];
  }

  return {
    acquire(origins) {
      const acquired: UpstreamPool[] = [];
      try {
        for (const origin of origins) acquired.push(acquire(origin));
        return new Group(acquired, onFailure);
      } catch (error) {
        for (const pool of acquired) release(pool);
        throw error;
      }
    },
    release(group) {
      for (const pool of (group as Group).upstreams) release(pool);
    },
    renew() {
      for (const { pool } of entries.values()) pool.renew();
    },
    figures() {
      forgetRetired();
      let open = 0;
      let pending = 0;
      for (const pool of all()) {
        open += pool.open;
        pending += pool.pending;
      }
      return { open, pending };
    },
    async close() {
      await Promise.all(all().map((pool) => pool.destroy()));
      entries.clear();
      retired.clear();
    },
  };
}
