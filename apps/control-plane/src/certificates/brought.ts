import { broughtIssuer, type StoredRecord, wildcardOf } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';

/** How the ids of brought certificates begin: no host has an underscore. */
const broughtIdPrefix = 'brought_';
/** More certificates for one name are not looked at. */
const maxForOneName = 50;

export function isBrought({ value }: StoredRecord<'certificate'>): boolean {
  return value.issuer === broughtIssuer;
}

export function isBroughtId(id: string): boolean {
  return id.startsWith(broughtIdPrefix);
}

/** The id of a brought certificate: the same leaf, brought again, is the same certificate. */
export function broughtId(fingerprint256: string): string {
  const hex = fingerprint256.replaceAll(':', '').toLowerCase();
  return `${broughtIdPrefix}${hex.slice(0, 20)}`;
}

/** The claims by which the brought certificates of a name are found, however many there are. */
export function broughtClaims(id: string, names: string[]): string[] {
  return names.map((name) => `${claimPrefix(name)}${id}`);
}

/**
 * The brought certificate that edges serve for each of the hosts, where there is one that is valid now: an exact name comes before a
 * wildcard, and of several the one that lasts longest, as edges choose too.
 */
export async function findBrought(
  store: ConfigStore,
  hosts: string[],
  now: number,
): Promise<Map<string, StoredRecord<'certificate'>>> {
  const found = new Map<string, StoredRecord<'certificate'>>();
  if (hosts.length > 1 && (await store.findClaims(claimPrefix(null), 1)).length === 0) return found;
  const names = [...new Set(hosts.flatMap((host) => [host, wildcardOf(host) ?? host]))];
  const holders = await Promise.all(names.map((name) => store.findClaims(claimPrefix(name), maxForOneName)));
  const ids = [...new Set(holders.flat().map(({ id }) => id))];
  if (ids.length === 0) return found;
  const valid = (await store.getMany('certificate', ids))
    .filter((record) => record !== null)
    .filter(({ value }) => Date.parse(value.notBefore) <= now && Date.parse(value.notAfter) > now)
    .sort(lastsLongest);
  for (const host of hosts) {
    const best =
      valid.find(({ value }) => value.names?.includes(host)) ??
      valid.find(({ value }) => value.names?.includes(wildcardOf(host) ?? host));
    if (best !== undefined) found.set(host, best);
  }
  return found;
}

/** All brought certificates of a name itself, whether they are valid or not. */
export async function broughtOf(
  store: Pick<ConfigStore, 'findClaims' | 'getMany'>,
  name: string,
): Promise<StoredRecord<'certificate'>[]> {
  const holders = await store.findClaims(claimPrefix(name), maxForOneName);
  const records = await store.getMany('certificate', [...new Set(holders.map(({ id }) => id))]);
  return records.filter((record) => record !== null);
}

function claimPrefix(name: string | null): string {
  return name === null ? 'brought ' : `brought ${name} `;
}

function lastsLongest(a: StoredRecord<'certificate'>, b: StoredRecord<'certificate'>): number {
  return Date.parse(b.value.notAfter) - Date.parse(a.value.notAfter) || (a.id < b.id ? -1 : 1);
}
