/** A path of a route: a prefix, or with `=` before it this path alone. */
export interface PathMatcher {
  readonly path: string;
  readonly exact: boolean;
}

/** Nearly every route has it, so that one does for all. */
const root: PathMatcher = { path: '/', exact: false };

export function compilePath(given: string): PathMatcher {
  if (given === '/') return root;
  return given.startsWith('=') ? { path: given.slice(1), exact: true } : { path: given, exact: false };
}

/**
 * `target` may carry a query: `/api` matches `/api`, `/api/…` and `/api?…`, not `/apis`; and `/api;…` and `/api%2F…`, which some upstreams take for
 * a path below it.
 */
export function matchesPath({ path, exact }: PathMatcher, target: string): boolean {
  if (exact) return target.startsWith(path) && endsPath(target.charCodeAt(path.length));
  if (path === '/') return true;
  if (!target.startsWith(path)) return false;
  const next = target.charCodeAt(path.length);
  if (endsPath(next) || next === 0x2f || next === 0x3b) return true;
  return next === 0x25 && (target.startsWith('%2F', path.length) || target.startsWith('%5C', path.length));
}

function endsPath(next: number): boolean {
  return Number.isNaN(next) || next === 0x3f;
}
