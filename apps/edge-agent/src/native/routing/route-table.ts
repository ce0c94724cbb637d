import {
  type RouteDefaults,
  type RouteRecord,
  servedHosts,
  type Upstream as UpstreamAddress,
  wildcardOf,
  withDefaults,
} from '@lockstep/contract';
import type { Pages } from '../rules/pages.ts';
import type { RuleServices } from '../rules/rule-services.ts';
import type { Upstreams } from '../upstreams/upstreams.ts';
import { type AskedOfClients, createAskingHosts } from './asking-hosts.ts';
import { entriesOf, findEntry, type HostEntry, inOrder, otherMethods } from './host-entries.ts';
import type { RoutedRequest } from './route-matcher.ts';
import { type ServedRoute, serveRoute } from './served-route.ts';

export type { ServedRoute } from './served-route.ts';

interface Held {
  /** Without defaults. */
  record: RouteRecord;
  route: ServedRoute;
  /** Of the defaults that the route was built with. */
  generation: number;
}

type Entry = HostEntry<Held>;

/** The routes a worker serves, found by host, path and what else they ask for. All methods are synchronous: a commit is put in without a gap. */
export interface RouteTable {
  /** A route that leads where it led before keeps its upstreams, and whose turn it is among them. Throws with nothing changed. */
  put(id: string, revision: number, record: RouteRecord): void;
  delete(id: string): void;
  ids(): Iterable<string>;
  /** Where requests go for hosts that have a certificate and that no route names; without any they are not served. */
  setCatchAll(upstreams: readonly UpstreamAddress[]): void;
  /**
   * What holds for each route that does not say it itself; in force at once, though a route is built anew when the next request for it comes: a hundred
   * thousand would hold everything else up. Throws, with nothing changed, for what no route could be served by.
   */
  setDefaults(defaults: RouteDefaults): void;
  /** Whether some route names the host. */
  names(host: string): boolean;
  servesHost(host: string): boolean;
  /**
   * By exact host, then by its wildcard; the longest path that matches wins, and of routes with the same those that ask for more (`inOrder`). The
   * catch-all is for hosts that no route names, not for the other requests of those that one does.
   */
  find(request: RoutedRequest): ServedRoute | null;
  /** The methods that would have found a route; empty where none would. */
  methodsFor(request: RoutedRequest): string[];
  /** For a request that fits none of a host's routes: the pages of the first that has one for the status, asked in the opposite order. */
  pagesAt(host: string, status: number): Pages | null;
  /** What a handshake for the host asks its client for; null for nothing. */
  askedOf(host: string): AskedOfClients | null;
  /** Another for each other set of hosts that ask clients for certificates; null where none does. */
  readonly askingDigest: Buffer | null;
  readonly hosts: number;
}

export interface RouteTableOptions {
  upstreams: Upstreams;
  hasCertificate(host: string): boolean;
  services: RuleServices;
}

const never = '1970-01-01T00:00:00.000Z';
const onDemandId = 'on-demand';

export function createRouteTable({ upstreams, hasCertificate, services }: RouteTableOptions): RouteTable {
  const byId = new Map<string, Held>();
  const byHost = new Map<string, Entry[]>();
  const asking = createAskingHosts();
  let catchAll: Held | null = null;
  let defaults: RouteDefaults = {};
  let generation = 0;

  function build(id: string, revision: number, record: RouteRecord, before: ServedRoute | null): Held {
    const served = { id, revision, record: withDefaults(record, defaults), upstreams, services, before };
    return { record, route: serveRoute(served), generation };
  }

  function giveBack(before: ServedRoute, after: ServedRoute | null): void {
    if (before.upstreams !== after?.upstreams) upstreams.release(before.upstreams);
  }

  function routeOf(held: Held): ServedRoute {
    if (held.generation === generation) return held.route;
    // Whatever comes of it, it is tried once.
    held.generation = generation;
    const { id, revision } = held.route;
    const { route } = build(id, revision, held.record, held.route);
    giveBack(held.route, route);
    held.route = route;
    return route;
  }

  function insert(id: string, held: Held): void {
    const entries = entriesOf(id, held.record, held);
    if (entries.length > 1) entries.sort(inOrder);
    for (const host of servedHosts(held.record)) {
      const others = byHost.get(host);
      // Most hosts are one route's alone. A list is never changed, so that hosts may share it.
      byHost.set(host, others === undefined ? entries : [...others, ...entries].sort(inOrder));
    }
  }

  function remove(held: Held): void {
    for (const host of servedHosts(held.record)) {
      const rest = (byHost.get(host) ?? []).filter(({ to }) => to !== held);
      if (rest.length === 0) byHost.delete(host);
      else byHost.set(host, rest);
    }
  }

  function entriesAt(host: string): Entry[] | undefined {
    const exact = byHost.get(host);
    if (exact !== undefined) return exact;
    const wildcard = wildcardOf(host);
    return wildcard === null ? undefined : byHost.get(wildcard);
  }

  return {
    put(id, revision, given) {
      const record = withoutMetadata(given);
      const before = byId.get(id);
      const held = build(id, revision, record, before?.route ?? null);
      if (before !== undefined) remove(before);
      byId.set(id, held);
      insert(id, held);
      asking.put(id, record);
      if (before !== undefined) giveBack(before.route, held.route);
    },
    delete(id) {
      const held = byId.get(id);
      if (held === undefined) return;
      remove(held);
      byId.delete(id);
      asking.delete(id);
      giveBack(held.route, null);
    },
    ids: () => byId.keys(),
    setCatchAll(addresses) {
      const before = catchAll;
      const record = {
        hosts: [],
        paths: ['/'],
        upstreams: [...addresses],
        createdAt: never,
        updatedAt: never,
      };
      catchAll = addresses.length === 0 ? null : build(onDemandId, 0, record, before?.route ?? null);
      if (before !== null) giveBack(before.route, catchAll?.route ?? null);
    },
    setDefaults(next) {
      const tried = withDefaults(
        { hosts: [], paths: [], upstreams: [], createdAt: never, updatedAt: never },
        next,
      );
      const route = serveRoute({ id: '', revision: 0, record: tried, upstreams, services, before: null });
      giveBack(route, null);
      defaults = next;
      asking.setDefaults(next);
      generation += 1;
    },
    names: (host) => entriesAt(host) !== undefined,
    servesHost: (host) => entriesAt(host) !== undefined || (catchAll !== null && hasCertificate(host)),
    find(request) {
      const { host } = request;
      const entries = entriesAt(host);
      if (entries === undefined) return catchAll !== null && hasCertificate(host) ? routeOf(catchAll) : null;
      const entry = findEntry(entries, request);
      return entry === null ? null : routeOf(entry.to);
    },
    methodsFor(request) {
      const found = otherMethods(entriesAt(request.host) ?? [], request);
      return [...new Set(found.flatMap(({ matcher }) => [...(matcher?.methods ?? [])]))];
    },
    pagesAt(host, status) {
      for (const { to } of (entriesAt(host) ?? []).toReversed()) {
        const pages = routeOf(to).rules?.pages ?? null;
        if (pages?.has(status)) return pages;
      }
      return null;
    },
    askedOf(host) {
      if (!asking.any) return null;
      const wildcard = wildcardOf(host);
      const entries = [...(byHost.get(host) ?? []), ...((wildcard !== null && byHost.get(wildcard)) || [])];
      return asking.of(entries.map(({ to }) => to.record));
    },
    get askingDigest() {
      return asking.digest;
    },
    get hosts() {
      return byHost.size;
    },
  };
}

/** Nothing is served by it, and there may be much of it. */
function withoutMetadata(record: RouteRecord): RouteRecord {
  if (record.metadata === undefined) return record;
  const { metadata: _, ...rest } = record;
  return rest;
}
