import type { StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';

const claimsAtOnce = 500;

/** The routes that name a host, or a wildcard, themselves. */
export async function routesNaming(
  store: Pick<ConfigStore, 'findClaims' | 'getMany'>,
  host: string,
): Promise<StoredRecord<'route'>[]> {
  const ids = new Set<string>();
  for (let after: string | undefined; ; ) {
    const holders = await store.findClaims(`${host} `, claimsAtOnce, after);
    if (holders.length === 0) break; // a page may be short
    for (const { kind, id } of holders) if (kind === 'route') ids.add(id);
    after = holders.at(-1)?.claim;
  }
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
