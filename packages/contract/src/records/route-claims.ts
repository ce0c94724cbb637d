import { createHash } from 'node:crypto';
import { servedHosts } from '../shared/served-hosts.ts';
import type { RouteRecord } from './route.ts';

type Matchers = Pick<RouteRecord, 'methods' | 'match'>;

/**
 * What no other route may serve as well: a host, a path, and what a request has to have beside them, with a character between that none of
 * them can have.
 */
export function claimsOfRoute(route: RouteRecord): string[] {
  const matchers = digestOf(route);
  const end = matchers === null ? '' : ` ${matchers}`;
  return servedHosts(route).flatMap((host) => route.paths.map((path) => `${host} ${path}${end}`));
}

/** The same for the same matchers in whatever order; null where there are none. */
function digestOf({ methods, match }: Matchers): string | null {
  if (methods === undefined && match === undefined) return null;
  const sorted = (conditions: NonNullable<Matchers['match']>['query'] = [], lower = false) =>
    conditions
      .map(({ name, equals, present }) =>
        JSON.stringify([lower ? name.toLowerCase() : name, equals ?? null, present ?? null]),
      )
      .sort();
  const all = [[...(methods ?? [])].sort(), sorted(match?.headers, true), sorted(match?.query)];
  return createHash('sha256').update(JSON.stringify(all)).digest('base64url').slice(0, 16);
}
