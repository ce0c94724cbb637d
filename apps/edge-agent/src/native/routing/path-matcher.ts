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
 * `target` may carry a query: `/api` matches `/api`, `/api/…` and `/api?…`, not `/apis`; and what some upstreams take for one of these, as
 * `/api;…`, `/api%2F…` and `/%2Fapi`: what holds for a path is not to be gone round by another way to write it.
 */
export function matchesPath({ path, exact }: PathMatcher, target: string): boolean {
  if (exact) return target.startsWith(path) && endsPath(target.charCodeAt(path.length));
  if (path === '/') return true;
  if (isUnder(path, target)) return true;
  const loose = readLoosely(target);
  return loose !== null && isUnder(path, loose);
}

function isUnder(path: string, target: string): boolean {
  if (!target.startsWith(path)) return false;
  const next = target.charCodeAt(path.length);
  return endsPath(next) || next === 0x2f;
}

function endsPath(next: number): boolean {
  return Number.isNaN(next) || next === 0x3f;
}

let read = { target: '', loose: null as string | null };

/** As upstreams do that decode slashes, and cut parameters off segments; null where that makes no difference. One target is asked for all paths of a host. */
function readLoosely(target: string): string | null {
  if (read.target !== target) read = { target, loose: loosely(target) };
  return read.loose;
}

function loosely(target: string): string | null {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  if (!/%2F|%5C|;/.test(path)) return null;
  return path
    .replace(/%2F|%5C/g, '/')
    .replace(/;[^/]*/g, '')
    .replace(/\/{2,}/g, '/');
}
