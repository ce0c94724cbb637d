import type { RouteRecord } from '@lockstep/contract';
import type { RequestRule } from './rule.ts';
import { pathOf, queryOf } from './ruled-request.ts';

/** `rewrite` of a route. */
export function compileRewrite({ rewrite }: RouteRecord): RequestRule | null {
  if (rewrite === undefined) return null;
  const { stripPrefix = '', addPrefix = '', path: whole } = rewrite;
  return {
    change(request) {
      const query = queryOf(request.path);
      if (whole !== undefined) {
        request.path = whole + query;
        return;
      }
      let path = pathOf(request.path);
      if (stripPrefix !== '' && (path === stripPrefix || path.startsWith(`${stripPrefix}/`))) {
        path = path.slice(stripPrefix.length) || '/';
        // What an upstream has to put before its own paths for links that lead here.
        request.headers.push('x-forwarded-prefix', stripPrefix);
      }
      request.path = (addPrefix === '' ? path : addPrefix + path) + query;
    },
  };
}
