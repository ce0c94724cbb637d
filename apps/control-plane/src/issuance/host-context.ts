import type { ChallengeType, StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';

/** What a step has to know of its host beside the order itself: read at once, after the order was taken up. */
export interface HostContext {
  certificate: StoredRecord<'certificate'> | null;
  policy: HostPolicy;
}

/** Throws `store_unavailable`. */
export async function readHostContext(
  store: ConfigStore,
  { id, value }: StoredRecord<'order'>,
): Promise<HostContext> {
  const [certificate, policy] = await Promise.all([
    store.get('certificate', id),
    readHostPolicy(store, value.host),
  ]);
  return { certificate, policy };
}

/** What the routes of a host ask of its certificate. */
export interface HostPolicy {
  /** Some route names the host. */
  named: boolean;
  /** The chain of issuers; null: that of the settings. */
  issuers: string[] | null;
  challenge: ChallengeType | null;
  /** It leads to a CDN in front of the edges. */
  proxied: boolean;
}

/** Several routes may name a host, with a path each: the first that asks for something, by id, is followed. */
export async function readHostPolicy(store: ConfigStore, host: string): Promise<HostPolicy> {
  const holders = await store.findClaims(`${host} `, 100);
  const ids = [...new Set(holders.map(({ id }) => id))].sort();
  const routes = (await store.getMany('route', ids)).filter((route) => route !== null);
  return { ...policyBy(routes), named: holders.length > 0 };
}

/** What these routes of one host ask of its certificate, the first before the others. */
export function policyBy(routes: readonly StoredRecord<'route'>[]): HostPolicy {
  return {
    named: routes.length > 0,
    issuers: routes.find(({ value }) => value.issuers !== undefined)?.value.issuers ?? null,
    challenge: routes.find(({ value }) => value.challenge !== undefined)?.value.challenge ?? null,
    proxied: routes.some(({ value }) => value.dns?.proxiedBy !== undefined),
  };
}
