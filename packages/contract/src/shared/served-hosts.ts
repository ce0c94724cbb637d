const www = 'www.';

/** The other name of a host, which `alsoServe` of its route has served too; null where it has none. */
export function otherName(host: string, alsoServe: 'www' | 'apex'): string | null {
  if (host.startsWith('*.')) return null;
  if (alsoServe === 'www') return host.startsWith(www) ? null : www + host;
  return host.startsWith(www) ? host.slice(www.length) : null;
}

/** All names that a route needs certificates for. */
export function servedHosts({
  hosts,
  alsoServe,
}: {
  hosts: string[];
  alsoServe?: 'www' | 'apex' | undefined;
}): string[] {
  if (alsoServe === undefined) return hosts;
  return [...new Set([...hosts, ...hosts.flatMap((host) => otherName(host, alsoServe) ?? [])])];
}
