import { otherName, type RouteRecord } from '@lockstep/contract';
import { redirectTo } from './redirect.ts';
import type { Gate } from './rule.ts';

/** `alsoServe` of a route: its other names lead to its own ones. */
export function compileAlsoServe({ hosts, alsoServe }: RouteRecord): Gate | null {
  if (alsoServe === undefined) return null;
  const ownOf = new Map<string, string>();
  for (const host of hosts) {
    const other = otherName(host, alsoServe);
    if (other !== null && !hosts.includes(other)) ownOf.set(other, host);
  }
  return {
    pass({ host, authority, scheme, asked }) {
      const own = ownOf.get(host);
      if (own === undefined) return null;
      return redirectTo(`${scheme}://${own}${authority.slice(host.length)}${asked}`, 308);
    },
  };
}
