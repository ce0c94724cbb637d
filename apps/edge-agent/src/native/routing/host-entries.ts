import type { RouteRecord } from '@lockstep/contract';
import { compilePath, matchesPath, type PathMatcher } from './path-matcher.ts';
import { compileMatcher, type RoutedRequest, type RouteMatcher } from './route-matcher.ts';

/** One path of a route at a host. */
export interface HostEntry<T> {
  readonly id: string;
  readonly path: PathMatcher;
  /** Null: host and path say it all. */
  readonly matcher: RouteMatcher | null;
  readonly to: T;
}

export function entriesOf<T>(id: string, record: RouteRecord, to: T): HostEntry<T>[] {
  const matcher = compileMatcher(record);
  return record.paths.map((path) => ({ id, path: compilePath(path), matcher, to }));
}

/**
 * The order in which the routes of a host are asked, written down in docs/routes.md: the longer path, of the same the exact one, then who has more
 * conditions, then who names methods, then by id.
 */
export function inOrder(a: HostEntry<unknown>, b: HostEntry<unknown>): number {
  return (
    b.path.path.length - a.path.path.length ||
    Number(b.path.exact) - Number(a.path.exact) ||
    (b.matcher?.conditions ?? 0) - (a.matcher?.conditions ?? 0) ||
    Number(namesMethods(b)) - Number(namesMethods(a)) ||
    (a.id < b.id ? -1 : 1)
  );
}

function namesMethods({ matcher }: HostEntry<unknown>): boolean {
  return matcher !== null && matcher.methods !== null;
}

/** The first that the request fits. */
export function findEntry<T>(entries: readonly HostEntry<T>[], request: RoutedRequest): HostEntry<T> | null {
  for (const entry of entries) {
    if (!matchesPath(entry.path, request.path)) continue;
    const { matcher } = entry;
    if (matcher === null) return entry;
    if ((matcher.methods === null || matcher.methods.has(request.method)) && matcher.holds(request))
      return entry;
  }
  return null;
}

/** Those that the request would fit with another method. */
export function otherMethods<T>(entries: readonly HostEntry<T>[], request: RoutedRequest): HostEntry<T>[] {
  return entries.filter(({ path, matcher }) => matchesPath(path, request.path) && matcher?.holds(request));
}
