import { type Authority, readAuthority } from './authority.ts';
import type { Fault } from './fault.ts';
import { normalisePath, plainPath, plainQuery } from './request-path.ts';

/** What a request is for. */
export interface RequestTarget {
  /** What the target names itself, in absolute form (RFC 9112, section 3.2.2); it goes before the Host field. */
  authority: Authority | null;
  /** Path and query, normalised; `*` for a request about the server as a whole (RFC 9112, section 3.2.4). */
  path: string;
}

const httpSchemes = /^https?:\/\//i;

/**
 * Reads a target as every listener does, for matching and for forwarding alike. A path is normalised (`normalisePath`); a query stays as
 * it is. Without percent signs, doubled slashes and dot segments, which is nearly always, this only looks.
 */
export function readRequestTarget(target: string, method: string): RequestTarget | Fault {
  if (target.charCodeAt(0) === 0x2f) {
    const path = readPathAndQuery(target);
    return typeof path === 'string' ? { authority: null, path } : path;
  }
  if (target === '*') {
    return method === 'OPTIONS' ? { authority: null, path: '*' } : { fault: 'the target * is for OPTIONS' };
  }
  const scheme = httpSchemes.exec(target);
  if (scheme === null) return { fault: 'the target is neither a path nor an http address' };
  const end = target.slice(scheme[0].length).search(/[/?#]/);
  const authorityEnd = end === -1 ? target.length : scheme[0].length + end;
  const authority = readAuthority(target.slice(scheme[0].length, authorityEnd));
  if ('fault' in authority) return authority;
  const rest = target.slice(authorityEnd);
  // RFC 9112, section 3.2.4: OPTIONS with no path asks about the server.
  if (rest === '') return { authority, path: method === 'OPTIONS' ? '*' : '/' };
  const path = readPathAndQuery(rest.startsWith('/') ? rest : `/${rest}`);
  return typeof path === 'string' ? { authority, path } : path;
}

function readPathAndQuery(target: string): string | Fault {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  if (query !== -1 && !plainQuery(target, query)) {
    return { fault: 'the query has a character that has to be percent-encoded' };
  }
  if (plainPath(path)) return target;
  const normal = normalisePath(path);
  if (typeof normal !== 'string') return normal;
  return query === -1 ? normal : normal + target.slice(query);
}
