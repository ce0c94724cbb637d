import { type RouteRecord, type StoredRecord, servedHosts } from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { isOwn } from '../auth/bounds.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import { sameJson } from '../validation/same-json.ts';
import { boundRoute, refuseOthers, refuseOthersCertificates } from './route-bounds.ts';
import type { Edit } from './route-edits.ts';
import { createRouteOrders } from './route-orders.ts';
import { putRoute } from './route-record.ts';
import { routeNotFound } from './route-refusals.ts';
import type { RouteRules } from './route-rules.ts';
import { hostsOf } from './unreadable-route.ts';

/** For how long somebody waits until it is live; null: nobody does; `bulk`: it comes with very many. */
export type Wait = number | null | 'bulk';

/** What else goes into the commit, by the route as it is then; null: it is gone. */
export type Beside = (route: RouteRecord | null) => Change[];

export interface RouteChangesOptions {
  store: ConfigStore;
  check: RouteRules;
  queue: Pick<OrderQueue, 'enter'>;
  defaultIssuer: () => string | null;
  ownHosts: readonly string[];
  now: () => number;
}

/** What is to become of a route, checked, and the hosts whose orders go with it. */
export interface PreparedRoute {
  id: string;
  current: StoredRecord<'route'> | null;
  next: RouteRecord | null;
  named: Check[];
  before: string[];
  after: string[];
}

/** From what a route is to become to the changes of a commit: the route, and the orders of its hosts. */
export function createRouteChanges({
  store,
  check,
  queue,
  defaultIssuer,
  ownHosts,
  now,
}: RouteChangesOptions) {
  const orders = createRouteOrders({ store, queue, now });

  async function prepare(
    { bounds, condition }: WriteOrigin,
    id: string,
    current: StoredRecord<'route'> | null,
    edit: Edit,
  ): Promise<PreparedRoute> {
    if (current !== null && !isOwn(bounds, current.value.tenant)) throw routeNotFound(id);
    const next = boundRoute(bounds, current, edit(current));
    condition?.(current?.revision ?? null);
    if (next !== null) await refuseOthersCertificates(store, bounds, current, next);
    const named = next === null ? [] : await check(next);
    const before = current === null ? [] : hostsOf(current);
    return { id, current, next, named, before, after: next === null ? [] : servedHosts(next) };
  }

  /** In turn with all who are at the orders of its hosts. No changes: it is so already. */
  async function changesOf(
    { bounds }: WriteOrigin,
    { id, current, next, named, before, after }: PreparedRoute,
    wait: Wait,
    beside: Beside = () => [],
  ): Promise<{ checks: Check[]; changes: Change[]; unchanged: boolean }> {
    const ofHosts = await orders.changesFor(id, before, after, enteringOf(next, wait));
    const own = changesTo(id, current, next);
    const kept = own.length === 0 ? (current?.value ?? null) : next;
    const changes = [...own, ...ofHosts.changes, ...beside(kept)];
    if (changes.length > 0) await refuseOthers(store, bounds, current, next, { now: now(), ownHosts });
    const ofRoute: Check = { kind: 'route', id, revision: current?.revision || null };
    return { checks: [ofRoute, ...named, ...ofHosts.checks], changes, unchanged: own.length === 0 };
  }

  function enteringOf(next: RouteRecord | null, wait: Wait) {
    const asks = next?.issuers?.[0] ?? defaultIssuer();
    return wait === 'bulk' ? { asks, bulk: true } : { asks, waitMs: wait };
  }

  return { prepare, changesOf };
}

export type RouteChanges = ReturnType<typeof createRouteChanges>;

/** None where the route would only become what it is already: then no edge has to hear of it. */
export function changesTo(
  id: string,
  current: StoredRecord<'route'> | null,
  next: RouteRecord | null,
): Change[] {
  if (next === null) return [{ op: 'delete', kind: 'route', id }];
  if (current !== null && sameJson({ ...next, updatedAt: current.value.updatedAt }, current.value)) return [];
  return [putRoute(id, next)];
}
