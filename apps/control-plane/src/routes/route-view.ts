import {
  type NodePresence,
  type Route,
  type RouteStatus,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { broughtIdPrefix, findBrought } from '../certificates/brought.ts';
import type { ChangeHub } from '../change-hub.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { iso } from '../iso.ts';
import { deriveRouteStatus, type FleetView, type HostRecords } from './route-status.ts';

/** Routes as the API shows them: what is stored, and what the fleet last said of it. */
export interface RouteView {
  route(id: string): Promise<Route | null>;
  routes(records: StoredRecord<'route'>[]): Promise<Route[]>;
  /**
   * The route as soon as it is live or can no longer become so by waiting (`waiting_for_dns`, or the whole issuer chain failed),
   * else as it stands when `timeoutMs` is over or `signal` aborts. Null when the route is gone.
   */
  settled(id: string, timeoutMs: number, signal: AbortSignal): Promise<Route | null>;
}

export interface RouteViewOptions {
  store: ConfigStore;
  fleet: Fleet;
  hub: ChangeHub;
  now?: () => number;
}

/** A brought certificate that comes may be for any host. */
const broughtKeys = recordKey('certificate', broughtIdPrefix);

interface LoadedRoute {
  record: StoredRecord<'route'>;
  hosts: HostRecords[];
}

export function createRouteView({ store, fleet, hub, now = Date.now }: RouteViewOptions): RouteView {
  function fleetView(): FleetView {
    return { epoch: store.epoch ?? '', liveNodes: fleet.liveNodes(), now: now() };
  }

  async function load(records: StoredRecord<'route'>[]): Promise<LoadedRoute[]> {
    const hosts = [...new Set(records.flatMap(({ value }) => value.hosts))];
    const [orders, certificates, brought] = await Promise.all([
      store.getMany('order', hosts),
      store.getMany('certificate', hosts),
      findBrought(store, hosts, now()),
    ]);
    const byHost = new Map(hosts.map((host, index) => [host, index]));
    return records.map((record) => ({
      record,
      hosts: record.value.hosts.map((host) => {
        const index = byHost.get(host) ?? -1;
        return {
          host,
          order: orders[index] ?? null,
          certificate: certificates[index] ?? null,
          brought: brought.get(host) ?? null,
        };
      }),
    }));
  }

  async function loadOne(id: string): Promise<LoadedRoute | null> {
    const record = await store.get('route', id);
    return record === null ? null : ((await load([record]))[0] ?? null);
  }

  function present({ record, hosts }: LoadedRoute): Route {
    const { createdAt, updatedAt, ...rest } = record.value;
    const status = deriveRouteStatus(record, hosts, fleetView());
    return { id: record.id, ...rest, revision: record.revision, createdAt, updatedAt, status };
  }

  async function settled(id: string, timeoutMs: number, signal: AbortSignal): Promise<Route | null> {
    let concerns: Set<string> | null = null;
    let stale = true;
    let nudge = () => {};
    const unwatchHub = hub.watch((key) => {
      const other = key !== null && concerns !== null && !concerns.has(key);
      if (other && !key.startsWith(broughtKeys)) return;
      stale = true;
      nudge();
    });
    const unwatchFleet = fleet.watch(() => nudge());
    const over = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const onOver = () => nudge();
    over.addEventListener('abort', onOver);
    try {
      let loaded: LoadedRoute | null = null;
      for (;;) {
        const nudged = new Promise<void>((resolve) => {
          nudge = resolve;
        });
        if (stale) {
          stale = false;
          loaded = await loadOne(id);
          if (loaded === null) return null;
          concerns = keysOf(loaded);
        }
        if (loaded === null) return null;
        const route = present(loaded);
        if (over.aborted || isSettled(route.status)) return route;
        await nudged;
      }
    } finally {
      unwatchHub();
      unwatchFleet();
      over.removeEventListener('abort', onOver);
    }
  }

  return {
    settled,
    async route(id) {
      const loaded = await loadOne(id);
      return loaded === null ? null : present(loaded);
    },
    async routes(records) {
      return (await load(records)).map(present);
    },
  };
}

function keysOf({ record, hosts }: LoadedRoute): Set<string> {
  const keys = hosts.flatMap(({ host }) => [recordKey('order', host), recordKey('certificate', host)]);
  return new Set([recordKey('route', record.id), ...keys]);
}

function isSettled({ state, nodes }: RouteStatus): boolean {
  if (state === 'live') return nodes.of > 0;
  return state === 'waiting_for_dns' || state === 'failed';
}

/** A node as the API shows it. */
export function presentNode({ report, seenAt, live }: NodePresence, epoch: string | null) {
  const { node, hosts, refusals, held, workers, addresses, version, startedAt } = report;
  return {
    id: node,
    state: live ? ('live' as const) : ('lost' as const),
    lastSeenAt: iso(seenAt),
    // The number of another history says nothing about this one.
    revision: report.applied?.epoch === epoch ? (report.applied?.number ?? null) : null,
    hosts,
    refusals,
    held,
    workers,
    addresses,
    version,
    startedAt,
  };
}
