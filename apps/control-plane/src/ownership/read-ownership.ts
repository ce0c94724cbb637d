import { ownershipId, type RouteRecord, type StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';

/** How a host of a route stands: whether it waits for a proof, and what is known of it where it was to be proven. */
export interface HostOwnershipState {
  waits: boolean;
  ownership: StoredRecord<'ownership'> | null;
}

export type OwnershipOf = (route: StoredRecord<'route'>, host: string) => HostOwnershipState;

/** Reads how the hosts of these routes stand. */
export async function readOwnership(
  store: Pick<ConfigStore, 'getMany'>,
  routes: readonly { route: StoredRecord<'route'>; hosts: readonly string[] }[],
): Promise<OwnershipOf> {
  const ids = routes.flatMap(({ route, hosts }) =>
    hosts.map((host) => ownershipId(host, route.value.tenant)),
  );
  const unique = [...new Set(ids)];
  const records = await store.getMany('ownership', unique);
  const byId = new Map(unique.map((id, index) => [id, records[index] ?? null]));
  return ({ value }, host) => ({
    waits: unprovenOf(value).includes(host),
    ownership: byId.get(ownershipId(host, value.tenant)) ?? null,
  });
}

/** A record may be of any shape. */
function unprovenOf({ unproven }: Partial<RouteRecord>): readonly string[] {
  return Array.isArray(unproven) ? unproven : [];
}
