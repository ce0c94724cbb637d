import type { CaddyRouteRecord } from '@lockstep/contract';
import type { Change } from '@lockstep/store';

/** Writes the record; the ids in its body are its claims. */
export function putCaddyRoute(id: string, value: CaddyRouteRecord): Change {
  return { op: 'put', kind: 'caddy-route', id, value, claims: (value.innerIds ?? []).map(innerIdClaim) };
}

/** Which no host can have before its path: hosts have a dot. */
export function innerIdClaim(innerId: string): string {
  return `caddy-id ${JSON.stringify(innerId)}`;
}
