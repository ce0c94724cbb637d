import { randomUUID } from 'node:crypto';
import {
  AppError,
  isAppError,
  type OrderRecord,
  type PatchRoute,
  type PutRoute,
  type RouteRecord,
  type StoredRecord,
} from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { commitSurely } from '../commit-surely.ts';
import { forgetFailures, newOrder, putOrder } from '../issuance/order-record.ts';
import { renewalDate } from '../issuance/renewal.ts';
import { refusePublicSuffix } from './public-suffix.ts';

/** How long the certificate of a host that no route names any more is kept and served. */
export const unusedGraceMs = 3_600_000;
const maxTries = 8;

/**
 * Changes to routes. Each is one commit, together with the orders of its hosts: a route never exists without somebody due
 * to obtain its certificates. A conflict with another writer is tried again on what that one wrote.
 */
export interface RouteService {
  /** Throws `id_taken`, `host_taken`, `invalid_request`. */
  create(body: PutRoute): Promise<string>;
  /** Replaces the route, or makes it where there is none: true when made. */
  replace(id: string, body: PutRoute): Promise<boolean>;
  patch(id: string, body: PatchRoute): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface RouteServiceOptions {
  store: ConfigStore;
  now?: () => number;
}

export function createRouteService({ store, now = Date.now }: RouteServiceOptions): RouteService {
  async function write(
    id: string,
    edit: (current: StoredRecord<'route'> | null) => Promise<RouteRecord | null>,
  ): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const current = await store.get('route', id);
      const next = await edit(current);
      const orders = await orderChanges(id, current?.value.hosts ?? [], next?.hosts ?? []);
      const checks: Check[] = [{ kind: 'route', id, revision: current?.revision ?? null }, ...orders.checks];
      const change: Change =
        next === null
          ? { op: 'delete', kind: 'route', id }
          : { op: 'put', kind: 'route', id, value: next, claims: claimsOf(next) };
      try {
        await commitSurely(store, { id: randomUUID(), checks, changes: [change, ...orders.changes] });
        return;
      } catch (error) {
        if (isAppError(error, 'host_taken')) throw explainHostTaken(error);
        if (!isAppError(error, 'revision_conflict') || tries === maxTries) throw error;
      }
    }
  }

  /** Orders for hosts that come (or whose back-off a changed route ends), and the grace time for those that go. */
  async function orderChanges(
    id: string,
    before: string[],
    after: string[],
  ): Promise<{ checks: Check[]; changes: Change[] }> {
    const dropped = before.filter((host) => !after.includes(host));
    const hosts = [...after, ...dropped];
    const orders = await store.getMany('order', hosts);
    const checks: Check[] = [];
    const changes: Change[] = [];
    for (const [index, host] of hosts.entries()) {
      const order = orders[index] ?? null;
      const value = dropped.includes(host)
        ? await orderOfDropped(id, host, order)
        : await orderOfNamed(host, order);
      if (value === null) continue;
      checks.push({ kind: 'order', id: host, revision: order?.revision ?? null });
      changes.push(putOrder(host, value));
    }
    return { checks, changes };
  }

  async function orderOfNamed(
    host: string,
    order: StoredRecord<'order'> | null,
  ): Promise<OrderRecord | null> {
    if (order === null) return newOrder(host, now());
    const { unusedSince, lastError } = order.value;
    if (unusedSince !== null) {
      const certificate = await store.get('certificate', host);
      const dueAt =
        certificate === null
          ? now()
          : renewalDate(Date.parse(certificate.value.notBefore), Date.parse(certificate.value.notAfter));
      return { ...forgetFailures(order.value, dueAt), unusedSince: null };
    }
    return lastError !== null ? forgetFailures(order.value, now()) : null;
  }

  async function orderOfDropped(
    id: string,
    host: string,
    order: StoredRecord<'order'> | null,
  ): Promise<OrderRecord | null> {
    if (order === null) return null;
    const holders = await store.findClaims(`${host} `, 100);
    if (holders.some((holder) => holder.id !== id)) return null;
    const dueAt = new Date(now() + unusedGraceMs).toISOString();
    return { ...order.value, unusedSince: new Date(now()).toISOString(), dueAt };
  }

  async function create(body: PutRoute): Promise<string> {
    checkHosts(body.hosts);
    const id = body.id ?? `rt_${randomUUID().replaceAll('-', '').slice(0, 20)}`;
    await write(id, async (current) => {
      if (current !== null) {
        throw new AppError('id_taken', `a route with id "${id}" exists; PUT /v1/routes/${id} replaces it`, {
          facts: { route: id },
        });
      }
      return recordOf(body, null);
    });
    return id;
  }

  async function replace(id: string, body: PutRoute): Promise<boolean> {
    checkHosts(body.hosts);
    if (body.id !== undefined && body.id !== id) {
      const detail = `id is "${body.id}", but the address names "${id}"; leave it out or make them the same`;
      throw new AppError('invalid_request', detail, { errors: [{ pointer: '/id', detail }] });
    }
    let made = false;
    await write(id, async (current) => {
      made = current === null;
      return recordOf(body, current);
    });
    return made;
  }

  async function patch(id: string, body: PatchRoute): Promise<void> {
    if (body.hosts !== undefined) checkHosts(body.hosts);
    await write(id, async (current) => {
      if (current === null) throw routeNotFound(id);
      const { hosts, paths, upstreams } = current.value;
      return recordOf(
        {
          hosts: body.hosts ?? hosts,
          paths: body.paths === null ? ['/'] : (body.paths ?? paths),
          upstreams: body.upstreams ?? upstreams,
        },
        current,
      );
    });
  }

  async function remove(id: string): Promise<void> {
    await write(id, async (current) => {
      if (current === null) throw routeNotFound(id);
      return null;
    });
  }

  function recordOf(
    { hosts, paths, upstreams }: PutRoute,
    current: StoredRecord<'route'> | null,
  ): RouteRecord {
    const updatedAt = new Date(now()).toISOString();
    return { hosts, paths, upstreams, createdAt: current?.value.createdAt ?? updatedAt, updatedAt };
  }

  return { create, replace, patch, remove };
}

export function routeNotFound(id: string): AppError {
  return new AppError('not_found', `there is no route "${id}"`, { facts: { route: id } });
}

/** A host and a path, with a character between them that neither can have. */
function claimsOf({ hosts, paths }: RouteRecord): string[] {
  return hosts.flatMap((host) => paths.map((path) => `${host} ${path}`));
}

function checkHosts(hosts: string[]): void {
  for (const [index, host] of hosts.entries()) refusePublicSuffix(host, `/hosts/${index}`);
}

function explainHostTaken(error: AppError): AppError {
  const [host, path] = String(error.facts.claim).split(' ');
  const route = error.facts.id ?? null;
  return new AppError('host_taken', `host "${host}" with path "${path}" belongs to route "${route}"`, {
    cause: error,
    facts: { host: host ?? null, path: path ?? null, route },
  });
}
