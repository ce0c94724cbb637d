import {
  type Route,
  type RoutesQuery,
  type StoredRecord,
  waitingClaimPrefix,
  wildcardOf,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { tenantClaimPrefix } from '../certificates/tenant-claim.ts';
import { allHolders, pageByClaims } from '../changes/by-claims.ts';
import { invalidField } from '../validation/invalid-field.ts';
import type { RouteView } from './route-view.ts';

type Query = Omit<RoutesQuery, 'total' | 'fields'> & { total: boolean; fields: readonly string[] | null };
type Shown = Pick<Route, 'id'> & Partial<Route>;
type Read = StoredRecord<'route'>;

const batchSize = 500;
/** A page looks through so many routes at most, so that it is answered while somebody waits. */
const mostLooked = 5_000;

export interface RouteListPage {
  items: Shown[];
  next: string | null;
  total?: number | null;
}

/**
 * Lists of routes. By id, of a tenant and of a host they are found by what the store keeps in order, however many there are. What else is
 * asked for is looked for in up to 5,000 routes a page: one may be short, or empty, and have a next one all the same.
 */
export type ListRoutes = (query: Query) => Promise<RouteListPage>;

export interface RouteListOptions {
  store: ConfigStore;
  view: Pick<RouteView, 'routes'>;
}

export function createRouteList({ store, view }: RouteListOptions): ListRoutes {
  /** The ids of the routes that name the host, or the wildcard that stands for it. */
  async function idsOfHost(host: string): Promise<string[]> {
    const ids = new Set<string>();
    for (const name of [host, wildcardOf(host)]) {
      if (name === null) continue;
      for (const prefix of [`${name} `, waitingClaimPrefix(name)])
        for (const { id } of await allHolders(store, prefix)) ids.add(id);
    }
    return [...ids].sort();
  }

  async function read(ids: string[]): Promise<Read[]> {
    return (await store.getMany('route', ids)).filter((record) => record !== null);
  }

  /** Some routes after the cursor, in the order of ids, among which all that can match are. */
  async function candidates(
    { host, tenant }: Query,
    cursor: string | undefined,
    limit: number,
  ): Promise<{ items: Read[]; next: string | null }> {
    if (host !== undefined) {
      const left = (await idsOfHost(host)).filter((id) => cursor === undefined || id > cursor);
      // A cursor names what belongs to the tenant alone.
      const ids = tenant === undefined ? left : (await read(left)).filter(isOf(tenant)).map(({ id }) => id);
      const page = ids.slice(0, limit);
      return { items: await read(page), next: ids.length > limit ? (page.at(-1) ?? null) : null };
    }
    if (tenant === undefined) return store.list('route', { limit, cursor });
    return pageByClaims(
      store,
      { kind: 'route', prefix: tenantClaimPrefix('route', tenant) },
      { limit, cursor },
    );
  }

  /** Those of the state asked for, shown as far as is asked. */
  async function show(records: Read[], { state, fields }: Query): Promise<Shown[]> {
    const withoutStatus = state === undefined && fields !== null && !fields.includes('status');
    if (withoutStatus)
      return records.map(({ id, revision, value: { sealedSecrets: _, unproven: _u, ...rest } }) =>
        only({ id, revision, ...rest }, fields),
      );
    const routes = await view.routes(records);
    const asked = state === undefined ? routes : routes.filter(({ status }) => status.state === state);
    return fields === null ? asked : asked.map((route) => only(route, fields));
  }

  async function byId(query: Query): Promise<RouteListPage> {
    const { limit, total } = query;
    const items: Shown[] = [];
    const exact = query.state === undefined && query.q === undefined && query.metadata === undefined;
    // Without a filter the store knows.
    const countsAll = total && exact && query.host === undefined && query.tenant === undefined;
    const counts = total && !countsAll;
    if (counts && query.cursor !== undefined) {
      const first = await byId({ ...query, cursor: undefined, limit: 1 });
      return { ...(await byId({ ...query, total: false })), total: first.total ?? null };
    }
    let next: string | null | undefined;
    let count = 0;
    let cursor = query.cursor;
    for (let looked = 0; ; ) {
      const size = exact && !counts ? limit + 1 : batchSize;
      const page = await candidates(query, cursor, size);
      const matching = page.items.filter((record) => matches(record, query));
      const room = limit - items.length;
      // Beyond the page they are looked at for their number alone.
      const wanted = query.state === undefined ? matching.slice(0, Math.max(0, room) + 1) : matching;
      const shown = room > 0 || query.state !== undefined ? await show(wanted, query) : wanted;
      count += query.state === undefined ? matching.length : shown.length;
      if (room > 0) items.push(...(shown as Shown[]).slice(0, room));
      if (next === undefined && (shown.length > room || (items.length === limit && page.next !== null)))
        next = items.at(-1)?.id ?? page.next;
      looked += page.items.length;
      const whole = page.next === null;
      if (whole || looked >= mostLooked || (next !== undefined && !counts)) {
        const found = countsAll ? await store.count('route') : whole ? count : null;
        return { items, next: next === undefined ? page.next : next, ...(total ? { total: found } : {}) };
      }
      cursor = page.next ?? undefined;
    }
  }

  async function sorted(query: Query): Promise<RouteListPage> {
    const found: Read[] = [];
    for (let cursor: string | undefined, looked = 0; ; ) {
      const page = await candidates(query, cursor, batchSize);
      found.push(...page.items.filter((record) => matches(record, query)));
      looked += page.items.length;
      if (page.next === null) break;
      if (looked >= mostLooked)
        throw invalidField(
          'sort',
          `is for up to ${mostLooked} routes, and more are to be looked at; name a tenant or a host, or sort by id`,
        );
      cursor = page.next;
    }
    const keyOf = keyBy(query.sort);
    const back = query.sort.startsWith('-') ? -1 : 1;
    const all = query.state === undefined ? found : await ofState(found, query.state);
    const ordered = all
      .map((record) => ({ record, key: `${keyOf(record)} ${record.id}` }))
      .sort((a, b) => (a.key < b.key ? -back : back));
    const after = query.cursor === undefined ? null : readCursor(query.cursor);
    const left =
      after === null ? ordered : ordered.filter(({ key }) => (back === 1 ? key > after : key < after));
    const page = left.slice(0, query.limit);
    const items = await show(
      page.map(({ record }) => record),
      { ...query, state: undefined },
    );
    const last = page.at(-1);
    const next = last !== undefined && left.length > query.limit ? writeCursor(last.key) : null;
    return { items, next, ...(query.total ? { total: ordered.length } : {}) };
  }

  async function ofState(records: Read[], state: Query['state']): Promise<Read[]> {
    const routes = await view.routes(records);
    return records.filter((_, index) => routes[index]?.status.state === state);
  }

  return (query) => (query.sort === 'id' ? byId(query) : sorted(query));
}

function isOf(tenant: string): (record: Read) => boolean {
  return ({ value }) => value.tenant === tenant;
}

function matches({ value }: Read, { host, tenant, q, metadata = {} }: Query): boolean {
  // By claims that were read before the records: both are asked again.
  if (host !== undefined && tenant !== undefined && value.tenant !== tenant) return false;
  if (q !== undefined && !(value.hosts ?? []).some((one) => one.includes(q))) return false;
  return Object.entries(metadata).every(([key, wanted]) => value.metadata?.[key] === wanted);
}

function keyBy(sort: Query['sort']): (record: Read) => string {
  const name = sort.replace(/^-/, '');
  if (name === 'createdAt' || name === 'updatedAt') return ({ value }) => value[name];
  return name === 'host' ? ({ value }) => value.hosts?.[0] ?? '' : () => '';
}

function only<T extends { id: string }>(route: T, fields: readonly string[]): Shown {
  const shown = Object.entries(route).filter(([name]) => name === 'id' || fields.includes(name));
  return Object.fromEntries(shown) as unknown as Shown;
}

function writeCursor(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function readCursor(cursor: string): string {
  return Buffer.from(cursor, 'base64url').toString();
}
