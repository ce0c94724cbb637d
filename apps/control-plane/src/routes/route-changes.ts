import { AppError, namedHosts, type RouteRecord, type StoredRecord, servedHosts } from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { isOwn } from '../auth/bounds.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import type { HostOwnership, Settled } from '../ownership/host-ownership.ts';
import { sameJson } from '../validation/same-json.ts';
import { boundRoute, refuseOthers, refuseOthersCertificates } from './route-bounds.ts';
import type { Edit } from './route-edits.ts';
import { createRouteOrders } from './route-orders.ts';
import { putRoute } from './route-record.ts';
import { routeNotFound } from './route-refusals.ts';
import type { RouteRules } from './route-rules.ts';
import { hostsOf, servedHostsOf } from './unreadable-route.ts';

/** For how long somebody waits until it is live; null: nobody does; `bulk`: it comes with very many. */
export type Wait = number | null | 'bulk';

/** What else goes into the commit, by the route as it is then; null: it is gone. */
export type Beside = (route: RouteRecord | null) => Change[];

export interface RouteChangesOptions {
  store: ConfigStore;
  check: RouteRules;
  queue: Pick<OrderQueue, 'enter'>;
  defaultIssuer: () => string | null;
  /** Left out: nothing has to be proven. */
  ownership?: HostOwnership | undefined;
  ownHosts: readonly string[];
  now: () => number;
}

/** What is to become of a route, checked, and all hosts that it named or names. */
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
  ownership = nothingToProve,
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
    return { id, current, next, named, before, after: next === null ? [] : namedHosts(next) };
  }

  /** The route as it would be written, with what has to be proven of its hosts first. */
  async function settle(
    origin: WriteOrigin,
    { id, current, next }: Pick<PreparedRoute, 'id' | 'current' | 'next'>,
    wait: Wait = null,
  ): Promise<Omit<Settled, 'unproven'> & { settled: RouteRecord | null }> {
    const { unproven, ...more } = await ownership.settle(origin, {
      id,
      before:
        current === null
          ? null
          : { tenant: current.value.tenant, named: hostsOf(current), served: servedHostsOf(current) },
      after: next === null ? null : { tenant: next.tenant, named: namedHosts(next) },
      waitMs: wait === 'bulk' ? null : wait,
    });
    return { settled: next === null || unproven.length === 0 ? next : { ...next, unproven }, ...more };
  }

  /** Throws where somebody else has a host that would be served from now on. */
  async function refuseHeld(
    origin: WriteOrigin,
    current: StoredRecord<'route'> | null,
    next: RouteRecord | null,
  ): Promise<void> {
    if (ownership.policyOf(origin) === 'off')
      return refuseOthers(store, origin.bounds, current, next, { now: now(), ownHosts });
    const before = current === null ? [] : servedHostsOf(current);
    const coming = next === null ? [] : servedHosts(next).filter((host) => !before.includes(host));
    const [held] = await ownership.heldByOthers(coming, next?.tenant);
    // It came in between: it is settled anew.
    if (held !== undefined)
      throw new AppError('revision_conflict', `"${held}" was taken meanwhile`, {
        facts: { kind: 'order', id: held },
      });
  }

  /** In turn with all who are at the orders of its hosts. No changes: it is so already. */
  async function changesOf(
    origin: WriteOrigin,
    prepared: PreparedRoute,
    wait: Wait,
    beside: Beside = () => [],
  ): Promise<{ checks: Check[]; changes: Change[]; unchanged: boolean }> {
    const { id, current, named } = prepared;
    const { settled: next, ...proofs } = await settle(origin, prepared, wait);
    const before = current === null ? [] : servedHostsOf(current);
    const after = next === null ? [] : servedHosts(next);
    const ofHosts = await orders.changesFor(id, before, after, enteringOf(next, wait));
    const own = changesTo(id, current, next);
    const kept = own.length === 0 ? (current?.value ?? null) : next;
    const changes = [
      ...own,
      ...ofHosts.changes,
      ...proofs.changes,
      ...beside(kept),
      ...(next === null ? await goneWith(id) : []),
    ];
    if (changes.length > 0) await refuseHeld(origin, current, next);
    const ofRoute: Check = { kind: 'route', id, revision: current?.revision || null };
    const checks = [ofRoute, ...named, ...ofHosts.checks, ...proofs.checks];
    return { checks, changes, unchanged: own.length === 0 };
  }

  /** What it was written with elsewhere goes with it. */
  async function goneWith(id: string): Promise<Change[]> {
    const written = await store.get('caddy-route', id);
    return written === null ? [] : [{ op: 'delete', kind: 'caddy-route', id }];
  }

  function enteringOf(next: RouteRecord | null, wait: Wait) {
    const asks = next?.issuers?.[0] ?? defaultIssuer();
    return wait === 'bulk' ? { asks, bulk: true } : { asks, waitMs: wait };
  }

  return { prepare, settle, refuseHeld, changesOf };
}

const nothingToProve: HostOwnership = {
  policyOf: () => 'off',
  settle: async () => ({ unproven: [], checks: [], changes: [] }),
  heldByOthers: async () => [],
};

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
