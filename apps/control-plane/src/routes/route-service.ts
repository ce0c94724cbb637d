import { randomUUID } from 'node:crypto';
import {
  AppError,
  claimsOfRoute,
  isAppError,
  namedHosts,
  type PatchRoute,
  type PutRoute,
  type RouteRecord,
  type RouteValidity,
  recordKey,
} from '@lockstep/contract';
import type { Sealer } from '@lockstep/pki';
import type { ConfigStore } from '@lockstep/store';
import { isOwn } from '../auth/bounds.ts';
import { commit, inTurn, type WriteOrigin, writeInTurn } from '../changes/writes.ts';
import type { OrderQueue } from '../orders/order-queue.ts';
import type { HostOwnership } from '../ownership/host-ownership.ts';
import { mergePatch } from '../validation/merge-patch.ts';
import { createManyRoutes, type RouteLine, type WrittenLine } from './many-routes.ts';
import { boundRoute, refuseOthersCertificates } from './route-bounds.ts';
import {
  type Beside,
  changesTo,
  createRouteChanges,
  type PreparedRoute,
  type Wait,
} from './route-changes.ts';
import { createRouteEdits, type Edit } from './route-edits.ts';
import { createRouteHosts } from './route-hosts.ts';
import { explainHostTaken, idTaken, routeNotFound } from './route-refusals.ts';
import type { RouteRules } from './route-rules.ts';
import { findRoute } from './unreadable-route.ts';

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
  writeMany(origin: WriteOrigin, lines: RouteLine[]): Promise<WrittenLine[] | null>;
  /** Names one more host; nothing where the route names it already. */
  addHost(origin: WriteOrigin, id: string, host: string, waitMs?: number | null): Promise<void>;
  /** Throws `not_found` where the route does not name it, and `wrong_state` where it is its only one. */
  removeHost(origin: WriteOrigin, id: string, host: string): Promise<void>;
  /** Throws whatever putting it would throw, and makes nothing. */
  validate(origin: WriteOrigin, body: PutRoute): Promise<RouteValidity>;
  /** What putting it, or with a body of null deleting it, would come to. */
  preview(origin: WriteOrigin, id: string, body: PutRoute | null): Promise<WrittenLine>;
}

export interface RouteServiceOptions {
  store: ConfigStore;
  check: RouteRules;
  queue: Pick<OrderQueue, 'enter'>;
  /** Left out: routes with secrets are not taken. */
  sealer?: Sealer<'edges'>;
  /** Whom routes ask that name no issuer. */
  defaultIssuer?: () => string | null;
  /** Left out: nothing has to be proven. */
  ownership?: HostOwnership | undefined;
  /** Hosts that control planes serve themselves. */
  ownHosts?: readonly string[];
  now?: () => number;
}

export function createRouteService({
  store,
  check,
  queue,
  sealer,
  defaultIssuer = () => null,
  ownership,
  ownHosts = [],
  now = Date.now,
}: RouteServiceOptions): RouteService {
  const edits = createRouteEdits({ sealer, now });
  const { recordOf, edited } = edits;
  const hosts = createRouteHosts(edits);
  const changes = createRouteChanges({ store, check, queue, defaultIssuer, ownership, ownHosts, now });
  const { writeMany } = createManyRoutes({ store, changes, edits });

  async function write(
    origin: WriteOrigin,
    id: string,
    waitMs: Wait,
    edit: Edit,
    { find = findRoute, beside }: { find?: typeof findRoute; beside?: Beside | undefined } = {},
  ): Promise<void> {
    try {
      await writeInTurn(store, [recordKey('route', id)], async () => {
        const prepared = await changes.prepare(origin, id, await find(store, id), edit);
        // After the route's own turn: whoever has that of a host waits for nobody.
        const keys = [...new Set([...prepared.before, ...prepared.after])];
        await inTurn(
          store,
          keys.map((host) => recordKey('order', host)),
          () => commitOne(origin, prepared, waitMs, beside),
        );
      });
    } catch (error) {
      throw isAppError(error, 'host_taken') ? await explainHostTaken(store, origin, error) : error;
    }
  }

  async function commitOne(
    origin: WriteOrigin,
    prepared: PreparedRoute,
    wait: Wait,
    beside: Beside | undefined,
  ): Promise<void> {
    const made = await changes.changesOf(origin, prepared, wait, beside);
    if (made.changes.length > 0)
      await commit(store, { ...origin, checks: made.checks, changes: made.changes });
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
    await write(origin, id, waitMs, (current) => recordOf(id, body, current), { find });
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

  async function preview(origin: WriteOrigin, id: string, body: PutRoute | null): Promise<WrittenLine> {
    const current = await findRoute(store, id);
    if (body !== null) await validate(origin, { ...body, id });
    else if (current === null || !isOwn(origin.bounds, current.value.tenant)) throw routeNotFound(id);
    if (body === null) return 'deleted';
    if (current === null) return 'made';
    const next = boundRoute(origin.bounds, current, recordOf(id, body, current));
    const { settled } = await changes.settle(origin, { id, current, next });
    return changesTo(id, current, settled).length === 0 ? 'unchanged' : 'changed';
  }

  async function validate(origin: WriteOrigin, body: PutRoute): Promise<RouteValidity> {
    const id = body.id ?? newRouteId();
    const current = body.id === undefined ? null : await findRoute(store, id);
    if (current !== null && !isOwn(origin.bounds, current.value.tenant)) throw idTaken(id, false);
    const next = boundRoute(origin.bounds, current, recordOf(id, body, current)) as RouteRecord;
    await refuseOthersCertificates(store, origin.bounds, current, next);
    await check(next);
    const { settled } = await changes.settle(origin, { id, current, next });
    await changes.refuseHeld(origin, current, settled);
    for (const claim of claimsOfRoute(settled as RouteRecord)) {
      const [holder] = await store.findClaims(claim, 1);
      if (holder?.claim !== claim || holder.id === id) continue;
      const taken = new AppError('host_taken', claim, { facts: { ...holder } });
      throw await explainHostTaken(store, origin, taken);
    }
    return { valid: true, hosts: namedHosts(next), paths: next.paths };
  }

  async function remove(origin: WriteOrigin, id: string): Promise<void> {
    const edit: Edit = (current) => {
      if (current === null) throw routeNotFound(id);
      return null;
    };
    await write(origin, id, null, edit);
  }

  return {
    create,
    replace,
    patch,
    remove,
    addHost: (origin, id, host, waitMs = null) => write(origin, id, waitMs, hosts.withHost(id, host)),
    removeHost: (origin, id, host) => write(origin, id, null, hosts.withoutHost(id, host)),
    validate,
    preview,
    writeMany,
  };
}

/** For a route that comes without an id. */
export function newRouteId(): string {
  return `rt_${randomUUID().replaceAll('-', '').slice(0, 20)}`;
}
