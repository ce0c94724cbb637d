import { createHash } from 'node:crypto';
import { namedHosts, servedHosts } from '../shared/served-hosts.ts';
import type { RouteRecord } from './route.ts';

type Matchers = Pick<RouteRecord, 'methods' | 'match'>;

/**
 * What no other route may serve as well: a host, a path, and what a request has to have beside them, with a character between that none of
 * them can have.
 */
export function claimsOfRoute(route: RouteRecord): string[] {
  const matchers = digestOf(route);
  const end = matchers === null ? '' : ` ${matchers}`;
  const served = servedHosts(route);
  const waiting = namedHosts(route).filter((host) => !served.includes(host));
  const prefixes = [
    ...served.map((host) => `${host} `),
    ...waiting.map((host) => waitingClaimPrefix(host, route.tenant)),
  ];
  return prefixes.flatMap((prefix) => route.paths.map((path) => `${prefix}${path}${end}`));
}

/** No host begins like that. */
const waits = '? ';

/**
 * How the claims begin of those who wait for a host to be proven theirs: any number of tenants may, each with the paths that none of its own
 * routes has. Without a tenant given, those of all.
 */
export function waitingClaimPrefix(host: string, ...tenant: [tenant?: string | null]): string {
  return tenant.length === 0 ? `${waits}${host} ` : `${waits}${host} ${tenant[0] ?? ''} `;
}

/** What a claim of a route is of. */
export function readRouteClaim(claim: string): { host: string; path: string | null; matchers?: string } {
  const parts = claim.startsWith(waits)
    ? claim.slice(waits.length).split(' ').toSpliced(1, 1)
    : claim.split(' ');
  const [host = '', path = null, matchers] = parts;
  return { host, path, ...(matchers === undefined ? {} : { matchers }) };
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
