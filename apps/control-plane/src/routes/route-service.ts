import { randomUUID } from 'node:crypto';
import {
  AppError,
  claimsOfRoute,
  isAppError,
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
import type { OrderQueue } from '../orders/order-queue.ts';
import { iso } from '../time/iso.ts';
import { toInvalidRequest } from '../validation/invalid-field.ts';
import { mergePatch } from '../validation/merge-patch.ts';
import { sameJson } from '../validation/same-json.ts';
import { boundRoute, refuseOthers, refuseOthersCertificates } from './route-bounds.ts';
import { createRouteOrders } from './route-orders.ts';
import { putRoute } from './route-record.ts';
import type { RouteRules } from './route-rules.ts';
import { sealRoute } from './route-secrets.ts';
import { findRoute, hostsOf } from './unreadable-route.ts';

/** For how long somebody waits until it is live; null: nobody does; `bulk`: it comes with very many. */
export type Wait = number | null | 'bulk';

/** What came of one of several. */
export type WrittenLine = AppError | 'made' | 'changed' | 'unchanged' | 'deleted';

/**
 * Changes to routes. Each is one commit, together with the orders of its hosts: a route never exists without somebody due
 * to obtain its certificates; with `waitMs`, for so long somebody waits until it is live. One that changes nothing makes none. A conflict with another writer is tried again on what that one wrote.
 */
export interface RouteService {
  /** Throws `id_taken`, `host_taken`, `invalid_request`. */
  create(origin: WriteOrigin, body: PutRoute, waitMs?: number | null, newId?: string): Promise<string>;
  /** Replaces the route, or makes it where there is none: true when made. */
  replace(origin: WriteOrigin, id: string, body: PutRoute, waitMs?: Wait, beside?: Beside): Promise<boolean>;
  patch(origin: WriteOrigin, id: string, body: PatchRoute, waitMs?: number | null): Promise<void>;
  remove(origin: WriteOrigin, id: string): Promise<void>;
  /**
   * Puts (or with a body of null, deletes) several routes in one commit, those that are taken, and tells of each what came of it. Null where
   * that cannot be together, since one or another was beaten or stands in another's way: nothing is made then, and each is for itself.
   */
  writeMany(
    origin: WriteOrigin,
    lines: { id: string; body: PutRoute | null }[],
  ): Promise<WrittenLine[] | null>;
  /** Names one more host; nothing where the route names it already. */
  addHost(origin: WriteOrigin, id: string, host: string, waitMs?: number | null): Promise<void>;
  /** Throws `not_found` where the route does not name it, and `wrong_state` where it is its only one. */
  removeHost(origin: WriteOrigin, id: string, host: string): Promise<void>;
  /** Throws whatever putting it would throw, and makes nothing. */
  validate(origin: WriteOrigin, body: PutRoute): Promise<RouteValidity>;
  /** What putting it, or with a body of null deleting it, would come to. */
  preview(origin: WriteOrigin, id: string, body: PutRoute | null): Promise<WrittenLine>;
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
  const orders = createRouteOrders({ store, queue, now });

  async function write(
    origin: WriteOrigin,
    id: string,
    waitMs: Wait,
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
    waitMs: Wait,
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
      const entering = enteringOf(next, waitMs);
      const ofHosts = await orders.changesFor(id, before, after, entering);
      const own = changesTo(id, current, next);
      const kept = own.length === 0 ? (current?.value ?? null) : next;
      const changes = [...own, ...ofHosts.changes, ...beside(kept)];
      if (changes.length === 0) return;
      await refuseOthers(store, bounds, current, next, { now: now(), ownHosts });
      await commit(store, {
        ...origin,
        checks: [{ kind: 'route', id, revision: current?.revision || null }, ...named, ...ofHosts.checks],
        changes,
      });
    });
  }

  function enteringOf(next: RouteRecord | null, wait: Wait) {
    const asks = next?.issuers?.[0] ?? defaultIssuer();
    return wait === 'bulk' ? { asks, bulk: true } : { asks, waitMs: wait };
  }

  async function writeMany(
    origin: WriteOrigin,
    lines: { id: string; body: PutRoute | null }[],
  ): Promise<WrittenLine[] | null> {
    const keys = lines.map(({ id }) => recordKey('route', id));
    return inTurn(store, keys, async () => {
      const records = await store.getMany(
        'route',
        lines.map(({ id }) => id),
      );
      const prepared = await Promise.all(
        lines.map((line, index) => prepare(origin, line, records[index] ?? null).catch(errorOrThrow)),
      );
      const hosts = prepared.flatMap((one) =>
        one instanceof AppError ? [] : [...new Set([...one.before, ...one.after])],
      );
      if (new Set(hosts).size < hosts.length) return null; // who names a host is read before the commit
      const orderKeys = hosts.map((host) => recordKey('order', host));
      return inTurn(store, orderKeys, () => commitMany(origin, prepared));
    });
  }

  async function prepare(
    { bounds }: WriteOrigin,
    { id, body }: { id: string; body: PutRoute | null },
    current: StoredRecord<'route'> | null,
  ) {
    if (current !== null && !isOwn(bounds, current.value.tenant)) throw routeNotFound(id);
    if (body === null && current === null) throw routeNotFound(id);
    const next = boundRoute(bounds, current, body === null ? null : recordOf(id, body, current));
    if (next !== null) await refuseOthersCertificates(store, bounds, current, next);
    const named = next === null ? [] : await check(next);
    const before = current === null ? [] : hostsOf(current);
    return { id, current, next, named, before, after: next === null ? [] : servedHosts(next) };
  }

  async function commitMany(
    origin: WriteOrigin,
    prepared: (AppError | Awaited<ReturnType<typeof prepare>>)[],
  ): Promise<WrittenLine[] | null> {
    const checks = new Map<string, Check>();
    const changes: Change[] = [];
    const written = await Promise.all(
      prepared.map(async (one): Promise<WrittenLine> => {
        if (one instanceof AppError) return one;
        const { id, current, next, named, before, after } = one;
        try {
          const ofHosts = await orders.changesFor(id, before, after, enteringOf(next, 'bulk'));
          const own = changesTo(id, current, next);
          if (own.length + ofHosts.changes.length === 0) return 'unchanged';
          await refuseOthers(store, origin.bounds, current, next, { now: now(), ownHosts });
          const ofRoute: Check = { kind: 'route', id, revision: current?.revision ?? null };
          for (const check of [ofRoute, ...named, ...ofHosts.checks])
            checks.set(recordKey(check.kind, check.id), check);
          changes.push(...own, ...ofHosts.changes);
          if (next === null) return 'deleted';
          return current === null ? 'made' : own.length === 0 ? 'unchanged' : 'changed';
        } catch (error) {
          return errorOrThrow(error);
        }
      }),
    );
    if (changes.length === 0) return written;
    try {
      await commit(store, { ...origin, checks: [...checks.values()], changes });
      return written;
    } catch (error) {
      if (together.some((code) => isAppError(error, code))) return null;
      throw error;
    }
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
    waitMs: Wait = null,
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

  async function preview(origin: WriteOrigin, id: string, body: PutRoute | null): Promise<WrittenLine> {
    const current = await findRoute(store, id);
    if (body !== null) await validate(origin, { ...body, id });
    else if (current === null || !isOwn(origin.bounds, current.value.tenant)) throw routeNotFound(id);
    if (body === null) return 'deleted';
    if (current === null) return 'made';
    const next = boundRoute(origin.bounds, current, recordOf(id, body, current));
    return changesTo(id, current, next).length === 0 ? 'unchanged' : 'changed';
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

  async function remove(origin: WriteOrigin, id: string): Promise<void> {
    const edit: Edit = (current) => {
      if (current === null) throw routeNotFound(id);
      return null;
    };
    // What it was written with elsewhere goes with it.
    const kept = await store.get('caddy-route', id);
    const beside = (): Change[] => (kept === null ? [] : [{ op: 'delete', kind: 'caddy-route', id }]);
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

  return { create, replace, patch, remove, addHost, removeHost, validate, preview, writeMany };
}

/** What one of several can be refused for because of the others, or of somebody who was faster. */
const together = ['revision_conflict', 'host_taken', 'commit_too_large', 'invalid_request'] as const;
/** What is nobody's own fault. */
const notOfOne = ['store_unavailable', 'store_lost', 'lease_lost', 'internal'] as const;

function errorOrThrow(error: unknown): AppError {
  if (error instanceof AppError && !notOfOne.some((code) => code === error.code)) return error;
  throw error;
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
