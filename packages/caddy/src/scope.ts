import { wildcardOf } from '@lockstep/contract';

/** One condition on a header or a parameter of the query, as `match` of a route has them. */
export type Condition = { name: string; equals: string } | { name: string; present: boolean };

/** Which requests something is for. */
export interface Scope {
  /** Null: all. */
  hosts: string[] | null;
  /** As a route has them: prefixes, or `=` and one path. */
  paths: string[];
  methods: string[] | null;
  headers: Condition[];
  query: Condition[];
}

export const everything: Scope = { hosts: null, paths: ['/'], methods: null, headers: [], query: [] };

export function pathCovers(outer: string, inner: string): boolean {
  if (outer === '/') return true;
  if (outer.startsWith('=')) return outer === inner;
  const path = inner.replace(/^=/, '');
  return path === outer || path.startsWith(`${outer}/`);
}

export function hostCovers(outer: string, inner: string): boolean {
  return outer === inner || (outer.startsWith('*.') && wildcardOf(inner) === outer);
}

/** Whether each request of `inner` is one of `outer` too. */
export function covers(outer: Scope, inner: Scope): boolean {
  const hosts =
    outer.hosts === null ||
    (inner.hosts?.every((host) => outer.hosts!.some((other) => hostCovers(other, host))) ?? false);
  return (
    hosts &&
    inner.paths.every((path) => outer.paths.some((other) => pathCovers(other, path))) &&
    (outer.methods === null || (inner.methods?.every((one) => outer.methods!.includes(one)) ?? false)) &&
    hasAll(outer.headers, inner.headers) &&
    hasAll(outer.query, inner.query)
  );
}

function hasAll(asked: Condition[], has: Condition[]): boolean {
  const texts = has.map((one) => JSON.stringify(one));
  return asked.every((one) => texts.includes(JSON.stringify(one)));
}

/** The requests of both; null where there can be none. */
export function intersect(a: Scope, b: Scope): Scope | null {
  const hosts = a.hosts === null ? b.hosts : b.hosts === null ? a.hosts : both(a.hosts, b.hosts, hostCovers);
  const paths = both(a.paths, b.paths, pathCovers);
  const methods =
    a.methods === null ? b.methods : a.methods.filter((one) => b.methods === null || b.methods.includes(one));
  if (hosts?.length === 0 || paths.length === 0 || methods?.length === 0) return null;
  const headers = union(a.headers, b.headers);
  const query = union(a.query, b.query);
  if (contradicts(headers) || contradicts(query)) return null;
  return { hosts, paths, methods, headers, query };
}

function both(a: string[], b: string[], covering: (outer: string, inner: string) => boolean): string[] {
  const found = a.flatMap((one) =>
    b.flatMap((other) => (covering(one, other) ? [other] : covering(other, one) ? [one] : [])),
  );
  return [...new Set(found)];
}

function union(a: Condition[], b: Condition[]): Condition[] {
  return [...new Map([...a, ...b].map((one) => [JSON.stringify(one), one])).values()];
}

function contradicts(conditions: Condition[]): boolean {
  const byName = new Map<string, string>();
  return conditions.some((one) => {
    const [name, what] = [one.name.toLowerCase(), 'equals' in one ? `=${one.equals}` : String(one.present)];
    const known = byName.get(name);
    byName.set(name, what);
    return (
      known !== undefined &&
      known !== what &&
      (known === 'false' || what === 'false' || (known[0] === '=' && what[0] === '='))
    );
  });
}
