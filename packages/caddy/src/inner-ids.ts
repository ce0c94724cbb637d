import { isFields } from './read-json.ts';

/** An `@id` below the first level of a body, and the way to what has it. */
export interface InnerId {
  id: string;
  path: string[];
}

/** A handler may have an `@id` of its own, as anything in Caddy's JSON may. */
export function innerIdsOf(body: unknown, path: string[] = []): InnerId[] {
  if (typeof body !== 'object' || body === null) return [];
  const given = isFields(body) && path.length > 0 ? body['@id'] : undefined;
  const own = typeof given === 'string' || typeof given === 'number' ? [{ id: String(given), path }] : [];
  const entries = Object.entries(body);
  return [...own, ...entries.flatMap(([name, value]) => innerIdsOf(value, [...path, name]))];
}
