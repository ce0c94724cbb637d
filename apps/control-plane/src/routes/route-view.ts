import { type Route, recordFault, recordKey, type StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { broughtIdPrefix, findBrought } from '../certificates/brought.ts';
import type { HostRecords } from '../certificates/certificate-status.ts';
import type { ChangeHub } from '../change-hub.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { IssuingPace } from '../issuance/issuing-pace.ts';
import { queuePositionOf } from '../issuance/queue-position.ts';
import { deriveRouteStatus } from './route-status.ts';
import { hostsOf, presentUnreadable } from './unreadable-route.ts';

/** Routes as the API shows them: what is stored, and what the fleet last said of it. */
export interface RouteView {
  route(id: string): Promise<Route | null>;
  routes(records: StoredRecord<'route'>[]): Promise<Route[]>;
  /**
   * The route as soon as it is live or nothing more comes of waiting: each of its hosts is live, waits for the DNS, or the whole issuer
   * chain failed for it. Else as it stands when `timeoutMs` is over or `signal` aborts. Null when the route is gone.
   */
  settled(id: string, timeoutMs: number, signal: AbortSignal): Promise<Route | null>;
}

export interface RouteViewOptions {
  store: ConfigStore;
  fleet: Fleet;
  hub: ChangeHub;
  pace: Pick<IssuingPace, 'perSecond'>;
}

/** A brought certificate that comes may be for any host. */
const broughtKeys = recordKey('certificate', broughtIdPrefix);

interface LoadedRoute {
  record: StoredRecord<'route'>;
  hosts: HostRecords[];
}

export function createRouteView({ store, fleet, hub, pace }: RouteViewOptions): RouteView {
  async function load(records: StoredRecord<'route'>[]): Promise<LoadedRoute[]> {
    const hosts = [...new Set(records.flatMap(hostsOf))];
    const [orders, certificates, brought] = await Promise.all([
      store.getMany('order', hosts),
      store.getMany('certificate', hosts),
      findBrought(store, hosts, fleet.view().now),
    ]);
    const waiting = orders.map((order, index) => (certificates[index] === null ? order : null));
    const positions = await Promise.all(
      waiting.map((order) =>
        order === null ? null : queuePositionOf(order.value, { store, pace, now: () => fleet.view().now }),
      ),
    );
    const byHost = new Map(hosts.map((host, index) => [host, index]));
    return records.map((record) => ({
      record,
      hosts: hostsOf(record).map((host) => {
        const index = byHost.get(host) ?? -1;
        return {
          host,
          order: orders[index] ?? null,
          certificate: certificates[index] ?? null,
          brought: brought.get(host) ?? null,
          queue: positions[index] ?? null,
        };
      }),
    }));
  }

  async function loadOne(id: string): Promise<LoadedRoute | null> {
    const record = await store.get('route', id);
    return record === null ? null : ((await load([record]))[0] ?? null);
  }

  function present({ record, hosts }: LoadedRoute): { route: Route; settled: boolean } {
    const fault = recordFault(record);
    if (fault !== null) return presentUnreadable(record, fault, fleet.view());
    const { createdAt, updatedAt, ...rest } = record.value;
    const { status, settled } = deriveRouteStatus(record, hosts, fleet.view());
    const route = { id: record.id, ...rest, revision: record.revision, createdAt, updatedAt, status };
    return { route, settled };
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
        const { route, settled } = present(loaded);
        if (over.aborted || settled) return route;
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
      return loaded === null ? null : present(loaded).route;
    },
    async routes(records) {
      return (await load(records)).map((loaded) => present(loaded).route);
    },
  };
}

function keysOf({ record, hosts }: LoadedRoute): Set<string> {
  const keys = hosts.flatMap(({ host }) => [recordKey('order', host), recordKey('certificate', host)]);
  return new Set([recordKey('route', record.id), ...keys]);
}
