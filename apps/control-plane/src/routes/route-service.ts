import { randomUUID } from 'node:crypto';
import {
  AppError,
  claimsOfRoute,
  isAppError,
  type OrderRecord,
  type PatchRoute,
  type RouteRecord,
  type RouteValidity,
  recordFault,
  recordKey,
  type StoredRecord,
  servedHosts,
} from '@lockstep/contract';
import { PutRoute } from '@lockstep/contract/schemas';
import type { Sealer } from '@lockstep/pki';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { isOwn } from '../auth/bounds.ts';
import { hostTaken } from '../certificates/own-certificates.ts';
import { commit, inTurn, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { EnterOptions, OrderQueue } from '../orders/order-queue.ts';
import {
  forgetFailures,
  isHeldBack,
  isPlaced,
  isWaitedFor,
  newOrder,
  putOrder,
} from '../orders/order-record.ts';
import { iso } from '../time/iso.ts';
import { toInvalidRequest } from '../validation/invalid-field.ts';
import { mergePatch } from '../validation/merge-patch.ts';
import { sameJson } from '../validation/same-json.ts';
import { boundRoute, refuseOthers, refuseOthersCertificates } from './route-bounds.ts';
import { putRoute } from './route-record.ts';
import type { RouteRules } from './route-rules.ts';
import { sealRoute } from './route-secrets.ts';
import { findRoute, hostsOf } from './unreadable-route.ts';

/** How long the certificate of a host that no route names any more is kept and served. */
const unusedGraceMs = 3_600_000;

/**
 * Changes to routes. Each is one commit, together with the orders of its hosts: a route never exists without somebody due
 * to obtain its certificates; with `waitMs`, for so long somebody waits until it is live. One that changes nothing makes none. A conflict with another writer is tried again on what that one wrote.
 */
export interface RouteService {
  /** Throws `id_taken`, `host_taken`, `invalid_request`. */
  create(origin: WriteOrigin, body: PutRoute, waitMs?: number | null, newId?: string): Promise<string>;
  /** Replaces the route, or makes it where there is none: true when made. */
  replace(
    origin: WriteOrigin,
    id: string,
    body: PutRoute,
    waitMs?: number | null,
    beside?: Beside,
  ): Promise<boolean>;
  patch(origin: WriteOrigin, id: string, body: PatchRoute, waitMs?: number | null): Promise<void>;
  remove(origin: WriteOrigin, id: string, beside?: Beside): Promise<void>;
  /** Names one more host; nothing where the route names it already. */
  addHost(origin: WriteOrigin, id: string, host: string, waitMs?: number | null): Promise<void>;
  /** Throws `not_found` where the route does not name it, and `wrong_state` where it is its only one. */
  removeHost(origin: WriteOrigin, id: string, host: string): Promise<void>;
  /** Throws whatever putting it would throw, and makes nothing. */
  validate(origin: WriteOrigin, body: PutRoute): Promise<RouteValidity>;
}

/** What else goes into the commit, by the route as it is then; null: it is gone. */
export type Beside = (route: RouteRecord | null) => Change[];

export interface RouteServiceOptions {
  store: ConfigStore;
  check: RouteRules;
  queue: Pick<OrderQueue, 'enter'>;
  /** Left out: routes with secrets are not taken. */
  sealer?: Sealer<'edges'>;
  /** Whom routes ask that name no issuer. */
  defaultIssuer?: () => string | null;
  /** Hosts that control planes serve themselves. */
  ownHosts?: readonly string[];
  now?: () => number;
}

type Edit = (current: StoredRecord<'route'> | null) => RouteRecord | null;

export function createRouteService({
  store,
  check,
  queue,
  sealer,
  defaultIssuer = () => null,
  ownHosts = [],
  now = Date.now,
}: RouteServiceOptions): RouteService {
  async function write(
    origin: WriteOrigin,
    id: string,
    waitMs: number | null,
    edit: Edit,
    { find = findRoute, beside = () => [] }: { find?: typeof findRoute; beside?: Beside | undefined } = {},
  ): Promise<void> {
    try {
      await writeInTurn(store, [recordKey('route', id)], async () =>
        writeOnce(origin, id, waitMs, await find(store, id), edit, beside),
      );
    } catch (error) {
      throw isAppError(error, 'host_taken') ? await explainHostTaken(store, origin, error) : error;
    }
  }

  async function writeOnce(
    origin: WriteOrigin,
    id: string,
    waitMs: number | null,
    current: StoredRecord<'route'> | null,
    edit: Edit,
    beside: Beside,
  ): Promise<void> {
    const { bounds } = origin;
    if (current !== null && !isOwn(bounds, current.value.tenant)) throw routeNotFound(id);
    const next = boundRoute(bounds, current, edit(current));
    origin.condition?.(current?.revision ?? null);
    if (next !== null) await refuseOthersCertificates(store, bounds, current, next);
    const named = next === null ? [] : await check(next);
    const before = current === null ? [] : hostsOf(current);
    const after = next === null ? [] : servedHosts(next);
    // After the route's own turn: whoever has that of a host waits for nobody.
    const keys = [...new Set([...before, ...after])].map((host) => recordKey('order', host));
    await inTurn(store, keys, async () => {
      const entering = { waitMs, asks: next?.issuers?.[0] ?? defaultIssuer() };
      const orders = await orderChanges(id, before, after, entering);
      const own = changesTo(id, current, next);
      const kept = own.length === 0 ? (current?.value ?? null) : next;
      const changes = [...own, ...orders.changes, ...beside(kept)];
      if (changes.length === 0) return;
      await refuseOthers(store, bounds, current, next, { now: now(), ownHosts });
      await commit(store, {
        ...origin,
        checks: [{ kind: 'route', id, revision: current?.revision || null }, ...named, ...orders.checks],
        changes,
      });
    });
  }

  /**
   * Orders for hosts that come (or whose back-off a changed route ends), and the grace time for those that go. A host that comes or
   * goes always changes its order's record, be it only the revision: who names a host is read before the commit, so of two commits
   * that change it at the same moment the second has to fail and look again.
   */
  async function orderChanges(
    id: string,
    before: string[],
    after: string[],
    entering: EnterOptions,
  ): Promise<{ checks: Check[]; changes: Change[] }> {
    const dropped = before.filter((host) => !after.includes(host));
    const hosts = [...after, ...dropped];
    const orders = await store.getMany('order', hosts);
    const checks: Check[] = [];
    const changes: Change[] = [];
    for (const [index, host] of hosts.entries()) {
      const order = orders[index] ?? null;
      const changed = dropped.includes(host)
        ? await orderOfDropped(id, host, order)
        : await orderOfNamed(host, order, entering);
      const moved = dropped.includes(host) || !before.includes(host);
      const value = changed ?? (moved ? (order?.value ?? null) : null);
      if (value === null) continue;
      checks.push({ kind: 'order', id: host, revision: order?.revision ?? null });
      changes.push(putOrder(host, value));
    }
    return { checks, changes };
  }

  async function orderOfNamed(
    host: string,
    order: StoredRecord<'order'> | null,
    entering: EnterOptions,
  ): Promise<OrderRecord | null> {
    if (order === null) return queue.enter(newOrder(host, now()), entering);
    const { value } = order;
    if (value.unusedSince !== null)
      return queue.enter({ ...forgetFailures(value, now()), unusedSince: null }, entering);
    const held = value.lastError !== null || value.waitingForDns !== null;
    if (held || (entering.waitMs != null && isHeldBack(value)))
      return queue.enter(forgetFailures(value, now()), entering);
    // Now somebody waits for it.
    if (entering.waitMs != null && isPlaced(value) && !isWaitedFor(value, now()))
      return queue.enter(value, entering);
    return null;
  }

  async function orderOfDropped(
    id: string,
    host: string,
    order: StoredRecord<'order'> | null,
  ): Promise<OrderRecord | null> {
    if (order === null) return null;
    const holders = await store.findClaims(`${host} `, 100);
    if (holders.some((holder) => holder.id !== id)) return null;
    const dueAt = iso(now() + unusedGraceMs);
    return { ...order.value, unusedSince: iso(now()), dueAt };
  }

  async function create(
    origin: WriteOrigin,
    body: PutRoute,
    waitMs: number | null = null,
    newId = newRouteId(),
  ): Promise<string> {
    const id = body.id ?? newId;
    const find = async () => {
      const found = body.id === undefined ? null : await findRoute(store, id); // nobody else has one that is made here
      if (found !== null) throw idTaken(id, isOwn(origin.bounds, found.value.tenant));
      return null;
    };
    const edit: Edit = (current) => recordOf(id, body, current);
    await write(origin, id, waitMs, edit, { find });
    return id;
  }

  async function replace(
    origin: WriteOrigin,
    id: string,
    body: PutRoute,
    waitMs: number | null = null,
    beside?: Beside,
  ): Promise<boolean> {
    if (body.id !== undefined && body.id !== id) {
      const detail = `id is "${body.id}", but the address names "${id}"; leave it out or make them the same`;
      throw new AppError('invalid_request', detail, { errors: [{ pointer: '/id', detail }] });
    }
    let made = false;
    const edit: Edit = (current) => {
      made = current === null;
      return recordOf(id, body, current);
    };
    await write(origin, id, waitMs, edit, { beside });
    return made;
  }

  async function patch(
    origin: WriteOrigin,
    id: string,
    body: PatchRoute,
    waitMs: number | null = null,
  ): Promise<void> {
    await write(origin, id, waitMs, (current) => {
      if (current === null) throw routeNotFound(id);
      return edited(id, current, (given) => mergePatch(given, body));
    });
  }

  /** The route with something of what was given changed, checked as a whole. */
  function edited(
    id: string,
    current: StoredRecord<'route'>,
    change: (given: Record<string, unknown>) => unknown,
  ): RouteRecord {
    const fault = recordFault(current);
    if (fault !== null)
      throw new AppError('wrong_state', `the record of route "${id}" ${fault}; put it anew, or delete it`);
    const { createdAt: _c, updatedAt: _u, sealedSecrets: _s, ...given } = current.value;
    const merged = PutRoute.safeParse(change(given));
    if (!merged.success) throw toInvalidRequest(merged.error);
    return recordOf(id, merged.data, current);
  }

  async function addHost(
    origin: WriteOrigin,
    id: string,
    host: string,
    waitMs: number | null = null,
  ): Promise<void> {
    await write(origin, id, waitMs, (current) => {
      if (current === null) throw routeNotFound(id);
      return edited(id, current, (given) => ({ ...given, hosts: [...hostsNamed(current), host] }));
    });
  }

  async function removeHost(origin: WriteOrigin, id: string, host: string): Promise<void> {
    await write(origin, id, null, (current) => {
      if (current === null) throw routeNotFound(id);
      const named = hostsNamed(current);
      if (!named.includes(host))
        throw new AppError('not_found', `route "${id}" does not name "${host}"`, {
          facts: { route: id, host },
        });
      if (named.length === 1)
        throw new AppError('wrong_state', `"${host}" is the only host of route "${id}"; delete the route`, {
          facts: { route: id, host },
        });
      return edited(id, current, (given) => ({ ...given, hosts: named.filter((one) => one !== host) }));
    });
  }

  async function validate(origin: WriteOrigin, body: PutRoute): Promise<RouteValidity> {
    const id = body.id ?? newRouteId();
    const current = body.id === undefined ? null : await findRoute(store, id);
    if (current !== null && !isOwn(origin.bounds, current.value.tenant)) throw idTaken(id, false);
    const next = boundRoute(origin.bounds, current, recordOf(id, body, current)) as RouteRecord;
    await refuseOthersCertificates(store, origin.bounds, current, next);
    await check(next);
    await refuseOthers(store, origin.bounds, current, next, { now: now(), ownHosts });
    for (const claim of claimsOfRoute(next)) {
      const [holder] = await store.findClaims(claim, 1);
      if (holder?.claim !== claim || holder.id === id) continue;
      const taken = new AppError('host_taken', claim, { facts: { ...holder } });
      throw await explainHostTaken(store, origin, taken);
    }
    return { valid: true, hosts: servedHosts(next), paths: next.paths };
  }

  async function remove(origin: WriteOrigin, id: string, beside?: Beside): Promise<void> {
    const edit: Edit = (current) => {
      if (current === null) throw routeNotFound(id);
      return null;
    };
    await write(origin, id, null, edit, { beside });
  }

  function recordOf(
    id: string,
    { id: _, ...given }: PutRoute,
    current: StoredRecord<'route'> | null,
  ): RouteRecord {
    const updatedAt = iso(now());
    const sealed = sealRoute(sealer, id, given, current);
    return { ...sealed, createdAt: current?.value.createdAt ?? updatedAt, updatedAt };
  }

  return { create, replace, patch, remove, addHost, removeHost, validate };
}

/** For a route that comes without an id. */
export function newRouteId(): string {
  return `rt_${randomUUID().replaceAll('-', '').slice(0, 20)}`;
}

export function routeNotFound(id: string): AppError {
  return new AppError('not_found', `there is no route "${id}"`, { facts: { route: id } });
}

function hostsNamed({ value: { hosts } }: StoredRecord<'route'>): string[] {
  return Array.isArray(hosts) ? hosts : [];
}

/** None where the route would only become what it is already: then no edge has to hear of it. */
function changesTo(id: string, current: StoredRecord<'route'> | null, next: RouteRecord | null): Change[] {
  if (next === null) return [{ op: 'delete', kind: 'route', id }];
  if (current !== null && sameJson({ ...next, updatedAt: current.value.updatedAt }, current.value)) return [];
  return [putRoute(id, next)];
}

function idTaken(id: string, own: boolean): AppError {
  const detail = own
    ? `a route with id "${id}" exists; PUT /v1/routes/${id} replaces it`
    : `the id "${id}" is taken; choose another, or leave it out`;
  return new AppError('id_taken', detail, { facts: { route: id } });
}

async function explainHostTaken(
  store: ConfigStore,
  { bounds }: WriteOrigin,
  error: AppError,
): Promise<AppError> {
  if (error.facts.claim === undefined) return error;
  const [host = '', path = null, matchers] = String(error.facts.claim).split(' ');
  const route = String(error.facts.id);
  if (bounds !== undefined && !isOwn(bounds, (await findRoute(store, route))?.value.tenant))
    return hostTaken(host, { path });
  const same = matchers === undefined ? '' : ', with the same methods and match,';
  return new AppError('host_taken', `host "${host}" with path "${path}"${same} belongs to route "${route}"`, {
    cause: error,
    facts: { host, path, route },
  });
}
