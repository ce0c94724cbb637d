import {
  type LoggedChange,
  ownershipId,
  type Route,
  recordFault,
  recordKey,
  type StoredRecord,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { isBroughtId } from '../certificates/brought.ts';
import type { HostRecords } from '../certificates/certificate-status.ts';
import type { ChangeHub } from '../changes/change-hub.ts';
import type { Fleet, FleetView } from '../fleet/fleet.ts';
import { inEpoch } from '../fleet/serving.ts';
import type { IssuingPace } from '../orders/issuing-pace.ts';
import { type QueuePosition, queuePositionOf } from '../orders/queue-position.ts';
import { readHostRecords } from './host-records.ts';
import { deriveRouteStatus } from './route-status.ts';
import { findRoute, presentUnreadable } from './unreadable-route.ts';

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

interface LoadedRoute {
  record: StoredRecord<'route'>;
  hosts: HostRecords[];
  /** In which it was read: its revisions say nothing of another history. */
  epoch: string | null;
}

export function createRouteView({ store, fleet, hub, pace }: RouteViewOptions): RouteView {
  async function load(records: StoredRecord<'route'>[], epoch = store.epoch): Promise<LoadedRoute[]> {
    const recordsOf = await readHostRecords(store, records, fleet.view().now);
    const loaded = records.map((record) => ({ record, epoch, hosts: recordsOf(record) }));
    const positions = await queuePositions(loaded.flatMap(({ hosts }) => hosts));
    return loaded.map(({ hosts, ...rest }) => ({
      ...rest,
      hosts: hosts.map((one) => ({ ...one, queue: positions.get(one.host) ?? null })),
    }));
  }

  /** Of those that have no certificate yet. */
  async function queuePositions(hosts: HostRecords[]): Promise<Map<string, QueuePosition | null>> {
    const now = () => fleet.view().now;
    const waiting = new Map(
      hosts.flatMap(({ host, order, certificate }) =>
        order === null || certificate !== null ? [] : [[host, order.value] as const],
      ),
    );
    const found = [...waiting].map(
      async ([host, order]) => [host, await queuePositionOf(order, { store, pace, now })] as const,
    );
    return new Map(await Promise.all(found));
  }

  async function loadOne(id: string): Promise<LoadedRoute | null> {
    const { epoch } = store;
    const record = await findRoute(store, id);
    return record === null ? null : ((await load([record], epoch))[0] ?? null);
  }

  /** The fleet as it was heard of last, while there is nothing that it could serve. */
  async function viewFor(loaded: LoadedRoute[]): Promise<FleetView> {
    const served = loaded.some(({ hosts }) => hosts.some((host) => host.certificate ?? host.brought));
    return served ? fleet.judge() : fleet.view();
  }

  function present(
    { record, hosts, epoch }: LoadedRoute,
    view: FleetView,
  ): { route: Route; settled: boolean } {
    const fleet = inEpoch(view, epoch);
    const fault = recordFault(record);
    if (fault !== null) return presentUnreadable(record, fault, fleet);
    const { createdAt, updatedAt, sealedSecrets: _, unproven: _u, ...rest } = record.value;
    const { status, settled } = deriveRouteStatus(record, hosts, fleet);
    const route = { id: record.id, ...rest, revision: record.revision, createdAt, updatedAt, status };
    return { route, settled };
  }

  async function settled(id: string, timeoutMs: number, signal: AbortSignal): Promise<Route | null> {
    let concerns: Set<string> | null = null;
    let stale = true;
    let nudge = () => {};
    // A brought certificate that comes may be for any host.
    const mayConcern = ({ kind, id }: LoggedChange) =>
      concerns === null || concerns.has(recordKey(kind, id)) || (kind === 'certificate' && isBroughtId(id));
    const unwatchHub = hub.watch((entry) => {
      if (entry !== null && !entry.changes.some(mayConcern)) return;
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
        if (over.aborted || present(loaded, fleet.view()).settled) {
          // What was heard tells that it is too early; only a comparison tells that it is not.
          const view = await fleet.judge();
          const { route, settled } = present(loaded, view);
          if (over.aborted || (settled && !stale)) return route;
          if (loaded.epoch !== view.epoch) stale = true;
          if (stale) continue;
        }
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
      return loaded === null ? null : present(loaded, await viewFor([loaded])).route;
    },
    async routes(records) {
      const loaded = await load(records);
      const view = await viewFor(loaded);
      return loaded.map((one) => present(one, view).route);
    },
  };
}

function keysOf({ record, hosts }: LoadedRoute): Set<string> {
  const keys = hosts.flatMap(({ host, waits }) =>
    waits !== true
      ? [recordKey('order', host), recordKey('certificate', host)]
      : [recordKey('ownership', ownershipId(host, record.value.tenant))],
  );
  return new Set([recordKey('route', record.id), ...keys]);
}
