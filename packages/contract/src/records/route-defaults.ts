import type { RouteDefaults } from '../api/route/defaults.ts';
import { isFields } from '../shared/fields.ts';
import { optionalFault, type RouteRecord, routeShape } from './route.ts';
import { unknownField } from './shape.ts';

/** A route as it is served. A field of its own takes the place of the whole default. */
export function withDefaults(record: RouteRecord, defaults: RouteDefaults): RouteRecord {
  for (const _ in defaults) return { ...defaults, ...record };
  return record;
}

export function defaultsFault(defaults: unknown): string | null {
  if (!isFields(defaults)) return 'has no defaults for routes';
  const unknown = unknownField(defaults, routeShape);
  if (unknown !== null)
    return `has a field "defaults.${unknown}", which this revision of Lockstep does not know`;
  return optionalFault(defaults);
}
