import { type RouteRecord, type Upstream as UpstreamAddress, wildcardOf } from '@lockstep/contract';
import { compileRules, type RouteRules } from '../rules/route-rules.ts';
import type { RuleServices } from '../rules/rule-services.ts';
import type { UpstreamGroup, Upstreams } from '../upstreams/upstreams.ts';

export interface ServedRoute {
  readonly id: string;
  readonly revision: number;
  readonly upstreams: UpstreamGroup;
  /** Null where it has none. */
  readonly rules: RouteRules | null;
}

interface Entry {
  path: string;
  route: ServedRoute;
}

interface Held {
  record: RouteRecord;
  route: ServedRoute;
}

/** The routes a worker serves, found by host and path. All methods are synchronous: a commit is put in without a gap. */
export interface RouteTable {
  /** A route that leads where it led before keeps its upstreams, and whose turn it is among them. Throws with nothing changed. */
  put(id: string, revision: number, record: RouteRecord): void;
  delete(id: string): void;
  ids(): Iterable<string>;
  /** Where requests go for hosts that have a certificate and that no route names; without any they are not served. */
  setCatchAll(upstreams: readonly UpstreamAddress[]): void;
  /** Whether some route names the host. */
  names(host: string): boolean;
  servesHost(host: string): boolean;
  /**
   * By exact host, then by its wildcard; the longest path prefix that ends at a segment wins. The catch-all is for hosts that
   * no route names, not for the other paths of those that one does.
   */
  find(host: string, path: string): ServedRoute | null;
  readonly hosts: number;
}

export interface RouteTableOptions {
  upstreams: Upstreams;
  hasCertificate(host: string): boolean;
  services: RuleServices;
}

export function createRouteTable({ upstreams, hasCertificate, services }: RouteTableOptions): RouteTable {
  const byId = new Map<string, Held>();
  const byHost = new Map<string, Entry[]>();
  let catchAll: ServedRoute | null = null;

  function insert({ record, route }: Held): void {
    for (const host of record.hosts) {
      const entries = byHost.get(host) ?? [];
      for (const path of record.paths) entries.push({ path, route });
      entries.sort((a, b) => b.path.length - a.path.length);
      byHost.set(host, entries);
    }
  }

  function remove({ record, route }: Held): void {
    for (const host of record.hosts) {
      const rest = (byHost.get(host) ?? []).filter((entry) => entry.route !== route);
      if (rest.length === 0) byHost.delete(host);
      else byHost.set(host, rest);
    }
  }

  function entriesOf(host: string): Entry[] | undefined {
    const exact = byHost.get(host);
    if (exact !== undefined) return exact;
    const wildcard = wildcardOf(host);
    return wildcard === null ? undefined : byHost.get(wildcard);
  }

  return {
    put(id, revision, record) {
      const before = byId.get(id);
      const same = before !== undefined && leadsTo(before.record) === leadsTo(record);
      const rules = compileRules(id, record, before?.route.rules ?? null, services);
      const { upstreams: addresses = [], timeouts, limits } = record;
      const group = same
        ? before.route.upstreams
        : upstreams.acquire({ upstreams: addresses, timeouts, limits }, id);
      const held = { record, route: { id, revision, upstreams: group, rules } };
      if (before !== undefined) remove(before);
      byId.set(id, held);
      insert(held);
      if (before !== undefined && !same) upstreams.release(before.route.upstreams);
    },
    delete(id) {
      const held = byId.get(id);
      if (held === undefined) return;
      remove(held);
      byId.delete(id);
      upstreams.release(held.route.upstreams);
    },
    ids: () => byId.keys(),
    setCatchAll(addresses) {
      const before = catchAll;
      catchAll =
        addresses.length === 0
          ? null
          : {
              id: 'on-demand',
              revision: 0,
              upstreams: upstreams.acquire({ upstreams: addresses }, ''),
              rules: null,
            };
      if (before !== null) upstreams.release(before.upstreams);
    },
    names: (host) => entriesOf(host) !== undefined,
    servesHost: (host) => entriesOf(host) !== undefined || (catchAll !== null && hasCertificate(host)),
    find(host, path) {
      const entries = entriesOf(host);
      if (entries === undefined) return catchAll !== null && hasCertificate(host) ? catchAll : null;
      for (const entry of entries) if (matches(entry.path, path)) return entry.route;
      return null;
    },
    get hosts() {
      return byHost.size;
    },
  };
}

function leadsTo({ upstreams, timeouts, limits }: RouteRecord): string {
  return JSON.stringify([upstreams, timeouts, limits]);
}

/**
 * `path` may carry a query: `/api` matches `/api`, `/api/…` and `/api?…`, not `/apis`; and `/api;…` and `/api%2F…`, which some upstreams take for
 * a path below it.
 */
function matches(prefix: string, path: string): boolean {
  if (prefix === '/') return true;
  if (!path.startsWith(prefix)) return false;
  const next = path.charCodeAt(prefix.length);
  if (Number.isNaN(next) || next === 0x2f || next === 0x3f || next === 0x3b) return true;
  return next === 0x25 && (path.startsWith('%2F', prefix.length) || path.startsWith('%5C', prefix.length));
}
