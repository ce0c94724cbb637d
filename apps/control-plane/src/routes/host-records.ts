import type { StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { findBrought } from '../certificates/brought.ts';
import type { HostRecords } from '../certificates/certificate-status.ts';
import { readOwnership } from '../ownership/read-ownership.ts';
import { hostsOf } from './unreadable-route.ts';

/** Reads what there is of the hosts of these routes. Of one that waits for a proof nothing is given but that: the rest may be somebody else's. */
export async function readHostRecords(
  store: ConfigStore,
  routes: readonly StoredRecord<'route'>[],
  now: number,
): Promise<(route: StoredRecord<'route'>) => HostRecords[]> {
  const named = routes.map((route) => ({ route, hosts: hostsOf(route) }));
  const hosts = [...new Set(named.flatMap((one) => one.hosts))];
  const [orders, certificates, brought, ownershipOf] = await Promise.all([
    store.getMany('order', hosts),
    store.getMany('certificate', hosts),
    findBrought(store, hosts, now),
    readOwnership(store, named),
  ]);
  const byHost = new Map(hosts.map((host, index) => [host, index]));
  return (route) =>
    hostsOf(route).map((host) => {
      const { waits, ownership } = ownershipOf(route, host);
      if (waits) return { host, order: null, certificate: null, brought: null, waits, ownership };
      const index = byHost.get(host) ?? -1;
      return {
        host,
        order: orders[index] ?? null,
        certificate: certificates[index] ?? null,
        brought: brought.get(host) ?? null,
        ownership,
      };
    });
}
