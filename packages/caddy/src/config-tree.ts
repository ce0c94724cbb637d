import { type Fields, isFields } from './read-json.ts';

/** What Caddy's admin API answers with another status than 200. */
export class CaddyFault extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'CaddyFault';
    this.status = status;
  }
}

export type TreeMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** What stands at a place of a JSON tree; null where nothing does. `base` is how the tree is called in what is thrown. */
export function valueAt(tree: unknown, segments: readonly string[], base: string): unknown {
  let value = tree;
  for (const [index, segment] of segments.entries()) {
    const here = [base, ...segments.slice(0, index + 1)].join('/');
    if (Array.isArray(value)) value = value[indexOf(segment, here, 400, value.length - 1)];
    else if (isFields(value)) value = own(value, segment) ? value[segment] : undefined;
    else throw new CaddyFault(400, `invalid traversal path at: ${here.slice(1)}`);
  }
  return value ?? null;
}

/**
 * The tree with a change at a place, as Caddy makes it: POST sets, or appends to a list; PUT makes what is not there, or inserts into a list; PATCH
 * replaces, DELETE takes away. A last segment `...` has POST append each element of a list.
 */
export function changeAt<T>(
  tree: T,
  given: readonly string[],
  method: TreeMethod,
  value: unknown,
  base: string,
): T {
  const spread = given.at(-1) === '...';
  const segments = spread ? given.slice(0, -1) : given;
  const changed = structuredClone(tree);
  let place: unknown = changed;
  for (const [index, segment] of segments.entries()) {
    const here = [base, ...segments.slice(0, index + 1)].join('/');
    const last = index === segments.length - 1;
    if (Array.isArray(place)) {
      place = place[indexOf(segment, here, 500, place.length - 1)];
      continue;
    }
    if (!isFields(place)) throw new CaddyFault(500, `invalid traversal path at: ${here.slice(1)}`);
    const inside = own(place, segment) ? place[segment] : undefined;
    if (Array.isArray(inside) && index === segments.length - 2) {
      changeList(
        inside,
        segments[index + 1]!,
        method,
        added(value, spread),
        `${here}/${segments[index + 1]}`,
      );
      return changed;
    }
    if (last) {
      changeField(place, segment, { method, value, spread, here });
      return changed;
    }
    if (inside === undefined && method === 'PUT') setOwn(place, segment, {});
    // What it inherits is not its own: a change there would change every object.
    place = own(place, segment) ? place[segment] : undefined;
  }
  throw new CaddyFault(500, `invalid traversal path at: ${base.slice(1)}`);
}

function changeList(
  list: unknown[],
  segment: string,
  method: TreeMethod,
  values: unknown[],
  here: string,
): void {
  if (method === 'POST') {
    list.push(...values);
    return;
  }
  const at = indexOf(segment, here, 500, method === 'PUT' ? list.length : list.length - 1);
  if (method === 'PUT') list.splice(at, 0, ...values);
  else list.splice(at, 1, ...(method === 'PATCH' ? values : []));
}

function changeField(
  place: Fields,
  name: string,
  { method, value, spread, here }: { method: TreeMethod; value: unknown; spread: boolean; here: string },
): void {
  const there = own(place, name);
  if (method === 'PUT' && there) throw new CaddyFault(409, `[${here}] key already exists: ${name}`);
  if ((method === 'PATCH' || method === 'DELETE') && !there)
    throw new CaddyFault(404, `[${here}] key does not exist: ${name}`);
  const before = there ? place[name] : undefined;
  if (method === 'DELETE') delete place[name];
  else if (method === 'POST' && Array.isArray(before)) before.push(...added(value, spread));
  else setOwn(place, name, value);
}

function added(value: unknown, spread: boolean): unknown[] {
  if (!spread) return [value];
  if (Array.isArray(value)) return value;
  throw new CaddyFault(400, 'final element is not an array');
}

function indexOf(segment: string, here: string, status: number, most: number): number {
  if (!/^(?:0|[1-9]\d{0,8})$/.test(segment))
    throw new CaddyFault(status, `[${here}] invalid array index '${segment}'`);
  const index = Number(segment);
  if (index > most) throw new CaddyFault(status, `[${here}] array index out of bounds: ${segment}`);
  return index;
}

function setOwn(place: Fields, name: string, value: unknown): void {
  Object.defineProperty(place, name, { value, enumerable: true, configurable: true, writable: true });
}

function own(place: Fields, name: string): boolean {
  return Object.hasOwn(place, name);
}
