import { createHash } from 'node:crypto';
import {
  CaddyFault,
  innerIdsOf,
  mostHosts,
  mostPaths,
  renderRoute,
  routeIdOf,
  translateRoute,
} from '@lockstep/caddy';
import { type CaddyRouteRecord, type RouteRecord, recordKey, type StoredRecord } from '@lockstep/contract';
import type { PutRoute } from '@lockstep/contract/schemas';
import type { Sealer } from '@lockstep/pki';
import type { Change, ConfigStore } from '@lockstep/store';
import { type Bounds, isOwn } from '../auth/bounds.ts';
import { everyPage } from '../changes/every-page.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import { innerIdClaim, putCaddyRoute } from '../routes/caddy-route-record.ts';
import type { RouteService } from '../routes/route-service.ts';
import { sameJson } from '../validation/same-json.ts';

/** Each is a claim, and looked up as a route is written. */
const mostInnerIds = 100;

/** A route as Caddy's admin API has it. */
export interface CaddyRoute {
  /** Of the route. */
  id: string;
  caddyId: string | null;
  server: string;
  position: number;
  body: unknown;
  /** Of the route. */
  revision: number;
  /** The body says all there is to the route: what is changed in it changes nothing else. */
  whole: boolean;
}

/** What an `@id` names: a route, or, by the way there, a part of its body. */
export interface Named {
  route: CaddyRoute;
  path: string[];
}

/** Routes by what Caddy calls them; the bodies they were written with are kept beside them, in one commit with the route. */
export interface CaddyRoutes {
  /** Null where there is none, or it is another tenant's. */
  find(caddyId: string, bounds: Bounds | undefined): Promise<Named | null>;
  /** All of them, in the order of their places. */
  list(bounds: Bounds | undefined): Promise<CaddyRoute[]>;
  /**
   * Makes one of a body, first or last among those of its server. Throws `CaddyFault` for what cannot be carried, or is there. Null: it was there,
   * written elsewhere and just as the body says; from now on it is shown as that.
   */
  add(
    origin: WriteOrigin,
    server: string,
    body: unknown,
    place: 'first' | 'last',
  ): Promise<CaddyRoute['id'] | null>;
  /** Throws `CaddyFault` for what cannot be carried, `Outdated` where the route is another by now. */
  replace(origin: WriteOrigin, route: CaddyRoute, body: unknown): Promise<void>;
  /** With a revision: as it is then alone. Throws `Outdated` where it is another by now. */
  remove(origin: WriteOrigin, route: Pick<CaddyRoute, 'id'> & { revision?: number }): Promise<void>;
  /** The route that a body becomes. Throws `CaddyFault`. */
  check(body: unknown): { id: string; caddyId: string | null; route: PutRoute };
}

/** Somebody else wrote the route since it was read. */
export class Outdated extends Error {}

export interface CaddyRoutesOptions {
  store: ConfigStore;
  routes: RouteService;
  sealer: Sealer;
  now?: () => number;
}

/** Among whose routes those stand that Caddy's API has not written. */
const defaultServer = 'srv0';

export function createCaddyRoutes({
  store,
  routes,
  sealer,
  now = Date.now,
}: CaddyRoutesOptions): CaddyRoutes {
  let lastPosition = 0;

  function toCaddy(
    route: StoredRecord<'route'>,
    record: StoredRecord<'caddy-route'> | null,
    caddyId: string,
  ): CaddyRoute {
    const { id, revision, value } = route;
    const own = record !== null && record.value.routeDigest === digestOf(value);
    const body = own
      ? JSON.parse(sealer.open(record.value.sealedBody, recordKey('caddy-route', id)))
      : renderRoute(caddyId, value);
    return {
      id,
      caddyId: record === null ? caddyId : record.value.caddyId,
      server: record?.value.server ?? defaultServer,
      position: record?.value.position ?? Date.parse(value.createdAt),
      body,
      revision,
      whole: own || saysAll(body, value),
    };
  }

  async function find(caddyId: string, bounds: Bounds | undefined): Promise<Named | null> {
    const route = await read(routeIdOf(caddyId), caddyId, bounds);
    if (route !== null) return { route, path: [] };
    const [holder] = await store.findClaims(innerIdClaim(caddyId), 1);
    if (holder?.claim !== innerIdClaim(caddyId)) return null;
    const around = await read(holder.id, holder.id, bounds);
    const part = innerIdsOf(around?.body).find(({ id }) => id === caddyId);
    return around === null || part === undefined ? null : { route: around, path: part.path };
  }

  async function read(id: string, caddyId: string, bounds: Bounds | undefined): Promise<CaddyRoute | null> {
    const [route, record] = await Promise.all([store.get('route', id), store.get('caddy-route', id)]);
    return route === null || !isOwn(bounds, route.value.tenant) ? null : toCaddy(route, record, caddyId);
  }

  /** The route that is there, if an import wrote it: no body is kept of it yet, and it is as this one says. */
  async function sameThere(
    id: string,
    body: unknown,
    bounds: Bounds | undefined,
  ): Promise<StoredRecord<'route'> | null> {
    const [route, record] = await Promise.all([store.get('route', id), store.get('caddy-route', id)]);
    const same = route !== null && record === null && isOwn(bounds, route.value.tenant);
    return same && saysAll(body, route.value) ? route : null;
  }

  /** Each `@id` is there once, wherever it stands. */
  async function requireFreeIds(id: string, caddyId: string | null, server: string, inner: string[]) {
    if (inner.length > mostInnerIds)
      throw refused(
        '@id',
        `stands at more than ${mostInnerIds} places inside the route; leave out those that are not asked for`,
      );
    const met = new Set(caddyId === null ? [] : [caddyId]);
    for (const one of inner) {
      if (met.has(one)) throw duplicate(one, server);
      met.add(one);
    }
    for (const one of inner) {
      const [held] = await store.findClaims(innerIdClaim(one), 1);
      const other = held?.claim === innerIdClaim(one) && held.id !== id;
      if (other || (await store.get('route', routeIdOf(one))) !== null) throw duplicate(one, server);
    }
    const [held] = caddyId === null ? [] : await store.findClaims(innerIdClaim(caddyId), 1);
    if (caddyId !== null && held?.claim === innerIdClaim(caddyId)) throw duplicate(caddyId, server);
  }

  async function list(bounds: Bounds | undefined): Promise<CaddyRoute[]> {
    const all: CaddyRoute[] = [];
    for await (const page of everyPage(store, 'route')) {
      const records = await store.getMany(
        'caddy-route',
        page.map(({ id }) => id),
      );
      for (const [index, route] of page.entries())
        if (isOwn(bounds, route.value.tenant)) all.push(toCaddy(route, records[index] ?? null, route.id));
    }
    return all.sort((a, b) => a.position - b.position || (a.id < b.id ? -1 : 1));
  }

  function check(body: unknown): { id: string; caddyId: string | null; route: PutRoute } {
    if (!isRoute(body)) throw refused('', 'a route is a JSON object');
    const { '@id': given } = body;
    if (given != null && typeof given !== 'string' && typeof given !== 'number')
      throw refused('@id', 'must be a string or number');
    const { routes: planned, notes } = translateRoute(body);
    const fault = notes.find(({ level }) => level !== 'told');
    if (fault !== undefined) throw refused(fault.at, fault.detail);
    const [first, second] = planned;
    if (first === undefined) throw refused(notes[0]?.at ?? 'handle', notes[0]?.detail ?? 'answers nothing');
    if (
      second !== undefined &&
      (first.body.hosts.length === mostHosts || first.body.paths.length === mostPaths)
    )
      throw refused(
        'match',
        `has more than ${mostHosts} hosts or ${mostPaths} paths; post a route for each part`,
      );
    if (second !== undefined)
      throw refused(second.at, 'is a second way for requests to go; post a route for each');
    const caddyId = given == null ? null : String(given);
    return { id: caddyId === null ? first.id : routeIdOf(caddyId), caddyId, route: first.body };
  }

  async function write(
    origin: WriteOrigin,
    id: string,
    route: PutRoute,
    kept: Pick<CaddyRouteRecord, 'caddyId' | 'server' | 'position'>,
    body: unknown,
  ): Promise<void> {
    const inner = innerIdsOf(body).map((one) => one.id);
    await requireFreeIds(id, kept.caddyId, kept.server, inner);
    const [before, known] = await Promise.all([store.get('route', id), store.get('caddy-route', id)]);
    const outside = Object.fromEntries(
      besideRoutes.flatMap((field) => {
        const value = before?.value[field];
        return value === undefined ? [] : [[field, value]];
      }),
    );
    const key = recordKey('caddy-route', id);
    const same = known !== null && sameJson(JSON.parse(sealer.open(known.value.sealedBody, key)), body);
    const beside = (written: RouteRecord | null): Change[] => {
      const routeDigest = written === null ? '' : digestOf(written);
      if (same && known.value.routeDigest === routeDigest) return [];
      const innerIds = inner.length === 0 ? {} : { innerIds: inner };
      const value = { ...kept, ...innerIds, sealedBody: sealer.seal(JSON.stringify(body), key), routeDigest };
      return [putCaddyRoute(id, value)];
    };
    await routes.replace(origin, id, { ...outside, ...route }, null, beside);
  }

  return {
    find,
    list,
    check,
    async add(origin, server, body, place) {
      const { id, caddyId, route } = check(body);
      lastPosition = Math.max(lastPosition + 1, now());
      const position = place === 'last' ? lastPosition : -lastPosition;
      const there = await sameThere(id, body, origin.bounds);
      const condition = (revision: number | null) => {
        if (revision !== (there?.revision ?? null)) throw duplicate(caddyId ?? id, server);
      };
      await write({ ...origin, condition }, id, route, { caddyId, server, position }, body);
      return there === null ? id : null;
    },
    async replace(origin, { id, caddyId, server, position, revision }, body) {
      const { route, caddyId: given } = check(body);
      if (given !== null && routeIdOf(given) !== id)
        throw refused('@id', `is "${given}", and the route's stays; delete this one, and post the other`);
      const condition = (current: number | null) => {
        if (current !== revision) throw new Outdated();
      };
      await write({ ...origin, condition }, id, route, { caddyId, server, position }, body);
    },
    async remove(origin, { id, revision }) {
      const condition = (current: number | null) => {
        if (revision !== undefined && current !== revision) throw new Outdated();
      };
      await routes.remove({ ...origin, condition }, id);
    },
  };
}

/**
 * What stays whatever is written: whose a route is, and what a Caddy has elsewhere than in its routes, in policies and servers. Without the last
 * of them a site would be open to clients that it asks for certificates.
 */
const besideRoutes = ['tenant', 'metadata', 'issuers', 'plainHttp', 'clientCertificates'] as const;

function isRoute(body: unknown): body is { '@id'?: unknown } {
  return typeof body === 'object' && body !== null && !Array.isArray(body);
}

/** What Caddy's form has no place for would be lost. */
function saysAll(body: unknown, route: RouteRecord): boolean {
  const { createdAt: _c, updatedAt: _u, unproven: _p, sealedSecrets, ...rest } = route;
  const kept: readonly string[] = besideRoutes;
  const given = Object.fromEntries(Object.entries(rest).filter(([field]) => !kept.includes(field)));
  const { routes } = translateRoute(body);
  return sealedSecrets == null && routes.length === 1 && sameJson(routes[0]!.body, given);
}

/** Sealed anew, the secrets are the same. */
function digestOf({ sealedSecrets: _, unproven: _u, ...route }: RouteRecord): string {
  return createHash('sha256').update(JSON.stringify(route)).digest('base64url');
}

export function refused(at: string, detail: string): CaddyFault {
  return new CaddyFault(400, at === '' ? detail : `${at}: ${detail}`);
}

function duplicate(caddyId: string, server: string): CaddyFault {
  const where = `/config/apps/http/servers/${server}/routes`;
  return new CaddyFault(400, `indexing config: duplicate ID '${caddyId}' found at ${where}`);
}
