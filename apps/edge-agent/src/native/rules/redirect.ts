import type { RouteRecord } from '@lockstep/contract';
import type { Gate } from './rule.ts';
import { pathOf, queryOf } from './ruled-request.ts';
import { compileTemplate } from './template.ts';

/** `redirect` of a route. */
export function compileRedirect({ redirect }: RouteRecord, route: string): Gate | null {
  if (redirect === undefined) return null;
  const { status, keepPath, keepQuery } = redirect;
  // A path begins with a slash of its own; two would name another host.
  const to = compileTemplate(redirect.to.replaceAll('/{path}', '{path}'), route, (value, placeholder) =>
    // A client may have chosen it, with what would name another host.
    placeholder === 'request_id' ? encodeURIComponent(value) : value,
  );
  return {
    pass(request) {
      let location = to(request);
      if (keepPath) location = `${location.replace(/\/$/, '')}${pathOf(request.asked)}`;
      if (keepQuery) location = withQuery(location, queryOf(request.asked));
      return redirectTo(location, status);
    },
  };
}

export function redirectTo(location: string, status: number) {
  return { status, fields: ['location', location], body: null };
}

/** Behind the query that there is, and before the fragment (RFC 3986, section 3). */
function withQuery(location: string, query: string): string {
  if (query === '') return location;
  const fragment = location.indexOf('#');
  const before = fragment === -1 ? location : location.slice(0, fragment);
  const joined = before.includes('?') ? `${before}&${query.slice(1)}` : before + query;
  return fragment === -1 ? joined : joined + location.slice(fragment);
}
