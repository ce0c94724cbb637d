import { addressOfHost } from './host-address.ts';

const www = 'www.';

/** The other name of a host, which `alsoServe` of its route has served too; null where it has none. */
export function otherName(host: string, alsoServe: 'www' | 'apex'): string | null {
  if (host.startsWith('*.') || addressOfHost(host) !== null) return null;
  if (alsoServe === 'www') return host.startsWith(www) ? null : www + host;
  return host.startsWith(www) ? host.slice(www.length) : null;
}

interface Named {
  hosts: string[];
  alsoServe?: 'www' | 'apex' | undefined;
  /** Those that wait for a proof of whose they are: nobody serves them by this route, and others may name them. */
  unproven?: string[] | undefined;
}

/** All names that a route serves, or will: it holds them against all others, and needs certificates for them. */
export function servedHosts(route: Named): string[] {
  const { unproven } = route;
  const named = namedHosts(route);
  return unproven === undefined ? named : named.filter((host) => !unproven.includes(host));
}

/** The same with those that wait for a proof of whose they are. */
export function namedHosts({ hosts, alsoServe }: Named): string[] {
  if (alsoServe === undefined) return hosts;
  return [...new Set([...hosts, ...hosts.flatMap((host) => otherName(host, alsoServe) ?? [])])];
}
