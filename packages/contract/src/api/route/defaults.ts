import { z } from 'zod';
import { routeFields } from './route-fields.ts';

/** What a route is, and what control planes need of it: none of it can be the same for all. */
const ownFields = [
  ...(['hosts', 'alsoServe', 'paths', 'methods', 'match'] as const),
  ...(['upstreams', 'redirect', 'response'] as const),
  ...(['issuers', 'challenge', 'dns', 'tenant', 'metadata'] as const),
  // What is secret of a route is sealed for that route.
  ...(['basicAuth'] as const),
] as const satisfies readonly (keyof typeof routeFields)[];

type OwnField = (typeof ownFields)[number];
type Fields = typeof routeFields;

function columnOf<C extends 'given' | 'shown'>(column: C) {
  const entries = Object.entries(routeFields)
    .filter(([name]) => !(ownFields as readonly string[]).includes(name))
    .map(([name, field]) => [name, field[column]]);
  return Object.fromEntries(entries) as { [F in Exclude<keyof Fields, OwnField>]: Fields[F][C] };
}

export const routeDefaults = z
  .strictObject(columnOf('given'))
  .describe(
    'Fields of every route that does not have them itself; a field of a route takes the place of the whole default',
  )
  .meta({ id: 'RouteDefaults' });
export type RouteDefaults = z.infer<typeof routeDefaults>;

export const shownRouteDefaults = z.object(columnOf('shown')).meta({ id: 'StoredRouteDefaults' });
