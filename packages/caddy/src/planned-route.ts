import { PutRoute } from '@lockstep/contract/schemas';
import { headersOf } from './draft.ts';
import type { Notes } from './notes.ts';
import { digest, idOfWhatIsServed, routeIdOf } from './route-id.ts';
import type { Condition, Scope } from './scope.ts';
import type { Leaf } from './tree.ts';

export interface PlannedRoute {
  id: string;
  body: PutRoute;
  /** Where what answers its requests stands in Caddy's JSON. */
  at: string;
}

/** Of one route here. */
export const mostHosts = 100;
export const mostPaths = 20;

/** The routes for what a leaf answers: as many as it takes for all of its hosts and paths. */
export function planRoutes(leaf: Leaf, more: Partial<PutRoute>, notes: Notes): PlannedRoute[] {
  const { hosts, paths } = leaf.scope;
  if (hosts === null) {
    notes.leftOut(leaf.at, 'has no host, and a route needs one');
    return [];
  }
  return chunks(hosts, mostHosts).flatMap((some) =>
    chunks(paths, mostPaths).flatMap((part) =>
      plan(leaf, { ...leaf.scope, hosts: some, paths: part }, more, notes),
    ),
  );
}

function plan(leaf: Leaf, scope: Scope, more: Partial<PutRoute>, notes: Notes): PlannedRoute[] {
  const { draft, at } = leaf;
  const { methods, headers, query } = scope;
  const changes = headersOf(draft);
  const match = {
    ...(headers.length > 0 && { headers: conditions(headers) }),
    ...(query.length > 0 && { query: conditions(query) }),
  };
  const given = {
    hosts: scope.hosts!,
    paths: scope.paths,
    ...(methods !== null && { methods }),
    ...(Object.keys(match).length > 0 && { match }),
    ...draft.fields,
    ...(changes !== undefined && { headers: changes }),
    ...more,
  };
  if (given.upstreams === undefined) for (const field of ofUpstreams) delete given[field];
  const parsed = PutRoute.safeParse(given);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) notes.leftOut(at, `${path.join('.')} ${message}`);
    return [];
  }
  return [{ id: '', body: parsed.data, at }];
}

/** What a redirect or a response has no use for. */
const ofUpstreams = ['balance', 'health', 'retries', 'timeouts', 'limits', 'rewrite'] as const;

function conditions(all: Condition[]) {
  return all.map((one) => ({ ...one }));
}

/** Gives each route its id: that of Caddy's where it had one, else one of what it serves. */
export function nameRoutes(planned: { route: PlannedRoute; caddyId: string | null }[]): PlannedRoute[] {
  const taken = new Set<string>();
  return planned.map(({ route, caddyId }) => {
    const { hosts, paths, methods, match } = route.body;
    const rest = methods === undefined && match === undefined ? undefined : { methods, match };
    const own = idOfWhatIsServed(hosts, paths, rest);
    const wanted = caddyId === null ? own : routeIdOf(caddyId);
    const id = taken.has(wanted)
      ? `${wanted.slice(0, 110)}_${digest(JSON.stringify([wanted, hosts, paths, rest])).slice(0, 12)}`
      : wanted;
    taken.add(id);
    return { ...route, id };
  });
}

function chunks<T>(all: T[], most: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / most) }, (_, i) => all.slice(i * most, (i + 1) * most));
}
