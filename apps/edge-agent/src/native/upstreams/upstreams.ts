import type { RouteRecord, Upstream } from '@lockstep/contract';
import type { DeniedAddresses } from '@lockstep/pki/denied-addresses';
import type { AnswerHandler } from './answer-handler.ts';
import { type BalancedRoute, type Balancing, createBalancing } from './balancing.ts';
import type { FailureLog } from './failure-log.ts';
import type { HealthBoard } from './health-board.ts';
import { Http2Pool } from './http2-pool.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import type { RequestBody } from './request-body.ts';
import type { RequestTargets } from './request-targets.ts';
import type { RetryBudget, RetryReason } from './retry-budget.ts';
import type { StickyCookie } from './sticky-cookie.ts';
import { isName, upstreamAddressOf } from './upstream-address.ts';
import type { UpstreamChoice } from './upstream-choice.ts';
import { createUpstreamConnector, type UpstreamConnectorOptions } from './upstream-connector.ts';
import type { UpstreamMember } from './upstream-member.ts';
import type { NameSource } from './upstream-name.ts';
import { createUpstreamNames } from './upstream-names.ts';
import { createUpstreamPool, type UpstreamLimits, type UpstreamPool } from './upstream-pool.ts';
import { UpstreamRequest } from './upstream-request.ts';

export interface UpstreamsOptions {
  /** In force at the next use. */
  limits(): UpstreamLimits;
  denied(): DeniedAddresses;
  clientCertificate: UpstreamConnectorOptions['clientCertificate'];
  /** Instead of what this machine knows of names. */
  names?: NameSource;
  /** Told of each failure, with the upstream that it was of. */
  onFailure: FailureLog['note'];
  health: HealthBoard;
  /** The same at all edges of the fleet. */
  secret: string;
}

/** What a route says of where its requests go. */
export interface LeadsTo extends BalancedRoute, Pick<RouteRecord, 'timeouts' | 'limits'> {}

/** The upstreams of one route. Who holds them can use them for as long as he does. */
export interface UpstreamGroup {
  /** The most that a body of a request may have; null: any. */
  readonly bodyBytes: number | null;
  /**
   * Sends a request to the one whose turn it is, and to another one when that cannot be reached. Whatever comes of it is told to `handler`, of a
   * full upstream before this returns. `upgrade`: the protocols that the client wants to switch to, as it named them.
   */
  send(
    request: OutgoingRequest,
    body: RequestBody | null,
    upgrade: string | null,
    handler: AnswerHandler,
  ): UpstreamRequest;
}

/** What can be done with a request that was sent. */
export type { UpstreamRequest } from './upstream-request.ts';

/** All upstreams of a worker; those that are reached in the same way share their connections. */
export interface Upstreams {
  /**
   * Throws, with nothing kept, when one of them cannot be used. `owner`: whose the limits are that it sets itself. What `before` counted of
   * upstreams that are the same, and whose turn it is, goes on.
   */
  acquire(leadsTo: LeadsTo, owner: string, before?: UpstreamGroup): UpstreamGroup;
  /** Given back by its last user, an upstream keeps no idle connection; exchanges under way end as they would have. */
  release(group: UpstreamGroup): void;
  /** Limits or denied addresses changed. */
  renew(): void;
  /** Connections to upstreams, and requests that wait for one. */
  figures(): { open: number; pending: number };
  /** Requests that were sent once more, by reason. */
  readonly repeats: Readonly<Record<string, number>>;
  close(): Promise<void>;
}

interface Entry {
  pool: UpstreamPool;
  /** The name that it is looked up by, and what is told when that stands for others. */
  hostname: string | null;
  onMoved(addresses: ReadonlySet<string>): void;
  users: number;
}

class Group implements UpstreamGroup, RequestTargets {
  readonly upstreams: readonly UpstreamPool[];
  readonly hosts: readonly (string | null)[] | null;
  readonly balancing: Balancing;
  readonly choice: UpstreamChoice;
  readonly members: readonly UpstreamMember[] | null;
  readonly sticky: StickyCookie | null;
  readonly retries: RetryBudget | null;
  readonly onRepeat: (reason: RetryReason | 'no_budget') => void;
  readonly limits: () => UpstreamLimits;
  readonly totalMs: number | null;
  readonly bodyBytes: number | null;
  readonly onFailure: FailureLog['note'];

  constructor(
    { upstreams, timeouts, limits }: LeadsTo,
    pools: readonly UpstreamPool[],
    balancing: Balancing,
    limitsOfEdge: () => UpstreamLimits,
    onFailure: FailureLog['note'],
    onRepeat: (reason: RetryReason | 'no_budget') => void,
  ) {
    this.upstreams = pools;
    this.balancing = balancing;
    this.choice = balancing.choice;
    this.members = balancing.members;
    this.sticky = balancing.sticky;
    this.retries = balancing.retries;
    this.onRepeat = onRepeat;
    const hosts = upstreams.map(hostOf);
    this.hosts = hosts.every((host) => host === null) ? null : hosts;
    this.limits = limitsWith(limitsOfEdge, deadlinesOf(timeouts));
    this.totalMs = timeouts?.totalMs ?? null;
    this.bodyBytes = limits?.bodyBytes ?? null;
    this.onFailure = onFailure;
  }

  send(
    request: OutgoingRequest,
    body: RequestBody | null,
    upgrade: string | null,
    handler: AnswerHandler,
  ): UpstreamRequest {
    const upstreamRequest = new UpstreamRequest(this, request, body, upgrade, handler);
    upstreamRequest.start();
    return upstreamRequest;
  }
}

export function createUpstreams(options: UpstreamsOptions): Upstreams {
  const { limits, denied, onFailure, clientCertificate, health, secret } = options;
  const names = createUpstreamNames(options.names);
  const repeats: Record<string, number> = { connect: 0, reset: 0, '5xx': 0, no_budget: 0 };
  const entries = new Map<string, Entry>();
  /** No route names them any more, and something of them is still open. */
  const retired = new Set<UpstreamPool>();

  function acquire(upstream: Upstream, own: Partial<UpstreamLimits>, owner: string): UpstreamPool {
    const { url, protocol, tls, proxyProtocol } = upstream;
    const key = JSON.stringify([url, protocol, tls, proxyProtocol, own, owner]);
    let entry = entries.get(key);
    if (entry === undefined) {
      entry = make(key, upstream, limitsWith(limits, own));
      entries.set(key, entry);
    }
    entry.users += 1;
    return entry.pool;
  }

  function make(key: string, upstream: Upstream, limits: () => UpstreamLimits): Entry {
    const { url, protocol = 'http1', tls, proxyProtocol } = upstream;
    const address = upstreamAddressOf(url);
    const hostname = isName(address) ? address.hostname : null;
    const onMoved: Entry['onMoved'] = (addresses) => pool.moved(addresses);
    const name = hostname === null ? null : names.acquire(hostname, onMoved);
    const connectMs = () => limits().connectMs;
    const connector = createUpstreamConnector({
      address,
      name,
      tls,
      proxyProtocol: proxyProtocol ?? null,
      clientCertificate,
      connectMs,
      denied,
    });
    const servername = tls?.serverName ?? hostname ?? undefined;
    const common = { key, origin: url, servername, connector, name, limits };
    const createHttp1 = () => createUpstreamPool({ ...common, tellsClients: proxyProtocol !== undefined });
    const pool: UpstreamPool =
      protocol === 'http1'
        ? createHttp1()
        : new Http2Pool({ ...common, secure: address.secure, createHttp1 });
    return { pool, hostname, onMoved, users: 0 };
  }

  function release(pool: UpstreamPool): void {
    const entry = entries.get(pool.key);
    if (entry?.pool !== pool) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    entries.delete(pool.key);
    if (entry.hostname !== null) names.release(entry.hostname, entry.onMoved);
    pool.retire();
    retired.add(pool);
    forgetRetired();
  }

  function onRepeat(reason: RetryReason | 'no_budget'): void {
    repeats[reason] = (repeats[reason] ?? 0) + 1;
  }

  function forgetRetired(): void {
    for (const pool of retired) if (pool.open === 0 && pool.pending === 0) retired.delete(pool);
  }

  function all(): UpstreamPool[] {
    return [...[...entries.values()].map(({ pool }) => pool), ...retired];
  }

  return {
    acquire(leadsTo, owner, before) {
      const acquired: UpstreamPool[] = [];
      const own = roomOf(leadsTo);
      // What one route allows itself is no other's to use up.
      const sharedAs = room.some((field) => own[field] !== undefined) ? owner : '';
      try {
        for (const upstream of leadsTo.upstreams) acquired.push(acquire(upstream, own, sharedAs));
        const balancing = createBalancing({
          route: leadsTo,
          id: owner,
          health,
          secret,
          before: (before as Group | undefined)?.balancing ?? null,
        });
        return new Group(leadsTo, acquired, balancing, limits, onFailure, onRepeat);
      } catch (error) {
        for (const pool of acquired) release(pool);
        throw error;
      }
    },
    release(group) {
      (group as Group).balancing.close();
      for (const pool of (group as Group).upstreams) release(pool);
    },
    repeats,
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
      health.close();
      await Promise.all(all().map((pool) => pool.destroy()));
      names.close();
      entries.clear();
      retired.clear();
    },
  };
}

/** What a route may set of the connections to its upstreams. */
const room = ['connections', 'pending', 'pendingMs'] as const;

/** The Host that an upstream receives in place of the client's; null: none. */
function hostOf({ url, host = 'keep' }: Upstream): string | null {
  if (host === 'keep') return null;
  return host === 'upstream' ? new URL(url).host : host;
}

function deadlinesOf({ firstByteMs, idleMs }: LeadsTo['timeouts'] = {}): Partial<UpstreamLimits> {
  return {
    ...(firstByteMs !== undefined && { firstByteMs }),
    ...(idleMs !== undefined && { idleMs, tunnelIdleMs: idleMs }),
  };
}

function roomOf({ limits, timeouts }: LeadsTo): Partial<UpstreamLimits> {
  const { connections, pending, pendingMs } = limits ?? {};
  const connectMs = timeouts?.connectMs;
  return {
    ...(connections !== undefined && { connections }),
    ...(pending !== undefined && { pending }),
    ...(pendingMs !== undefined && { pendingMs }),
    ...(connectMs !== undefined && { connectMs }),
  };
}

/** `limits` with some of them replaced; worked out once for each that `limits` gives. */
function limitsWith(limits: () => UpstreamLimits, own: Partial<UpstreamLimits>): () => UpstreamLimits {
  if (Object.keys(own).length === 0) return limits;
  let of: UpstreamLimits | null = null;
  let merged: UpstreamLimits;
  return () => {
    const now = limits();
    if (now !== of) {
      of = now;
      merged = { ...now, ...own };
    }
    return merged;
  };
}
