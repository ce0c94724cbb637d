import {
  namedHosts,
  type Route,
  type RouteRecord,
  revisionOfUnreadable,
  type StoredRecord,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import type { FleetView } from '../fleet/fleet.ts';
import { countNodes, type DerivedStatus } from './route-status.ts';

/** A route's record. One that the store cannot read comes empty, with the revision to expect (0: none), so that it can be told of, put anew and deleted. */
export async function findRoute(store: ConfigStore, id: string): Promise<StoredRecord<'route'> | null> {
  try {
    return await store.get('route', id);
  } catch (error) {
    const revision = revisionOfUnreadable(error);
    if (revision === undefined) throw error;
    return { kind: 'route', id, revision: revision ?? 0, value: {} as RouteRecord };
  }
}

/**
 * A route whose record cannot be read, as far as it can be shown, so that it hides no other and can be replaced or deleted. Edges
 * refuse it by its name.
 */
export function presentUnreadable(
  { id, revision, value }: StoredRecord<'route'>,
  fault: string,
  view: FleetView,
): { route: Route } & Pick<DerivedStatus, 'settled'> {
  const { hosts, paths, createdAt, updatedAt } = value as Partial<Record<keyof typeof value, unknown>>;
  const behind = view.nodes.map(({ node }) => ({ node, reason: `cannot read it: the record ${fault}` }));
  const route: Route = {
    id,
    hosts: textsOf(hosts),
    paths: textsOf(paths),
    upstreams: [],
    revision,
    createdAt: String(createdAt ?? ''),
    updatedAt: String(updatedAt ?? ''),
    status: {
      state: 'failed',
      reason: `the record of this route ${fault}; put it anew, or delete it`,
      hosts: textsOf(hosts).map((host) => ({ host, state: 'failed' as const })),
      certificates: [],
      dnsRequirements: [],
      nodes: { live: 0, ...countNodes(view), behind },
    },
  };
  return { route, settled: true };
}

/** The hosts that a record of any shape needs certificates for, and those that wait for a proof of whose they are. */
export function hostsOf({ value }: StoredRecord<'route'>): string[] {
  const { hosts, alsoServe } = value as Partial<RouteRecord>;
  const known = alsoServe === 'www' || alsoServe === 'apex' ? alsoServe : undefined;
  return namedHosts({ hosts: textsOf(hosts), alsoServe: known });
}

/** The same without those that wait. */
export function servedHostsOf(record: StoredRecord<'route'>): string[] {
  const waiting = textsOf((record.value as Partial<RouteRecord>).unproven);
  return hostsOf(record).filter((host) => !waiting.includes(host));
}

function textsOf(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((one) => typeof one === 'string') : [];
}
