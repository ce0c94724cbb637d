import type { StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { allHolders } from '../changes/by-claims.ts';

/** The routes that name a host, or a wildcard, themselves. */
export async function routesNaming(
  store: Pick<ConfigStore, 'findClaims' | 'getMany'>,
  host: string,
): Promise<StoredRecord<'route'>[]> {
  const holders = await allHolders(store, `${host} `);
  const ids = new Set(holders.flatMap(({ kind, id }) => (kind === 'route' ? [id] : [])));
  const records = await store.getMany('route', [...ids]);
  return records.filter((record) => record !== null);
}

/** Whether a route of the tenant names the host itself. */
export async function isHostOf(
  store: Pick<ConfigStore, 'findClaims' | 'getMany'>,
  tenant: string,
  host: string,
): Promise<boolean> {
  return (await routesNaming(store, host)).some(({ value }) => value.tenant === tenant);
}

/** The claims by which the proven hosts are found that a wildcard stands for too. */
export function provenClaimPrefix(wildcard: string): string {
  return `proven ${wildcard} `;
}
