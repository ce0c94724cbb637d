import {
  type Certificate,
  type NodePresence,
  type Route,
  type RouteStatus,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { ChangeHub } from '../change-hub.ts';
import type { Fleet } from '../fleet/fleet.ts';
import {
  deriveCertificateStatus,
  deriveRouteStatus,
  type FleetView,
  type HostRecords,
} from './route-status.ts';

/** Routes and certificates as the API shows them: what is stored, and what the fleet last said of it. */
export interface RouteView {
  route(id: string): Promise<Route | null>;
  routes(records: StoredRecord<'route'>[]): Promise<Route[]>;
  certificates(orders: StoredRecord<'order'>[]): Promise<Certificate[]>;
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
    const [orders, certificates] = await Promise.all([
      store.getMany('order', hosts),
      store.getMany('certificate', hosts),
    ]);
    const byHost = new Map(
      hosts.map((host, index) => [
        host,
        { host, order: orders[index] ?? null, certificate: certificates[index] ?? null },
      ]),
    );
    return records.map((record) => ({
      record,
      hosts: record.value.hosts.map((host) => byHost.get(host) ?? { host, order: null, certificate: null }),
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
      if (key !== null && concerns !== null && !concerns.has(key)) return;
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
    async certificates(orders) {
      const certificates = await store.getMany(
        'certificate',
        orders.map(({ id }) => id),
      );
      const view = fleetView();
      return orders.map((order, index) => presentCertificate(order, certificates[index] ?? null, view));
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

function presentCertificate(
  order: StoredRecord<'order'>,
  certificate: StoredRecord<'certificate'> | null,
  view: FleetView,
): Certificate {
  const value = certificate?.value;
  return {
    ...deriveCertificateStatus({ host: order.value.host, order, certificate }, view),
    origin: 'managed',
    names: [order.value.host],
    renewalWindow: null,
    revokedAt: value?.revokedAt ?? null,
    expiresSoon: false,
    issuer: value?.issuer ?? order.value.issuer,
    serialNumber: value?.serialNumber ?? null,
    fingerprint256: value?.fingerprint256 ?? null,
    notBefore: value?.notBefore ?? null,
    renewAt:
      value !== undefined && order.value.step === 'idle' && order.value.unusedSince === null
        ? order.value.dueAt
        : null,
    revision: certificate?.revision ?? null,
    chain: value?.chain ?? null,
  };
}

/** A node as the API shows it. */
export function presentNode({ report, seenAt, live }: NodePresence, epoch: string | null) {
  const { node, hosts, refusals, held, workers, addresses, version, startedAt } = report;
  return {
    id: node,
    state: live ? ('live' as const) : ('lost' as const),
    lastSeenAt: new Date(seenAt).toISOString(),
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
