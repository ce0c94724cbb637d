import { isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';

/** How a route was written by Caddy's admin API, under the route's id: what it is asked for there, it gives back. */
export interface CaddyRouteRecord {
  /** Its `@id`; null: it had none. */
  caddyId: string | null;
  /** The server among whose routes it stands, and where: the lowest first. */
  server: string;
  position: number;
  /** Each `@id` below the route's own, by which a part of the JSON may be asked for; left out: there is none. */
  innerIds?: string[];
  /** The JSON, which may have hashes of passwords in it, sealed with `caddy-route/<id>`. */
  sealedBody: string;
  /** Of the route as this made it: one with another was written by somebody else since. */
  routeDigest: string;
}

export const caddyRoute = recordKind<CaddyRouteRecord>()({
  kind: 'caddy-route',
  audience: 'control',
  version: 1,
  secret: { sealedBody: 'control' },
  // The change of the route itself is kept.
  journal: () => false,
  fault: ({ sealedBody }) => (isText(sealedBody) ? null : 'has no body'),
});
