import {
  addressOfHost,
  namedHosts,
  type RouteRecord,
  type StoredRecord,
  servedHosts,
  wildcardOf,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { type Bounds, beyondToken, isOwn, ownTenant, requireSuffix } from '../auth/bounds.ts';
import { clientCertificatesOf, noSuchCertificate } from '../certificates/client-certificate.ts';
import { hostTaken, isOwnCertificate, refuseBroughtByOthers } from '../certificates/own-certificates.ts';
import { routesNaming } from '../certificates/tenants-of-host.ts';
import { hostsOf, servedHostsOf } from './unreadable-route.ts';

/** A route as a token may write it: of its tenant. Throws `forbidden` for another tenant, and for hosts that come and are not for it. */
export function boundRoute(
  bounds: Bounds | undefined,
  current: StoredRecord<'route'> | null,
  next: RouteRecord | null,
): RouteRecord | null {
  if (bounds === undefined) return next;
  const before = current === null ? [] : hostsOf(current);
  // Who sees everything still changes nothing of what other names are for.
  if (bounds.tenant === null) for (const host of before) requireSuffix(bounds, host, '');
  if (next === null) return null;
  for (const host of namedHosts(next)) {
    if (before.includes(host)) continue;
    const index = next.hosts.indexOf(host);
    if (bounds.tenant !== null && addressOfHost(host) !== null)
      throw beyondToken(
        `/hosts/${index}`,
        `"${host}" is an IP address, which all tenants share: a route for it takes a token without a tenant`,
      );
    requireSuffix(bounds, host, index === -1 ? '/alsoServe' : `/hosts/${index}`);
  }
  const tenant = ownTenant(bounds, next.tenant);
  return tenant === undefined ? next : { ...next, tenant };
}

/**
 * Throws where a tenant's route would reach for what is another's: `host_taken` for a host that comes and that a route of somebody else names
 * (or the wildcard above it does), or for which edges would serve somebody else's certificate. Asked after the orders of the hosts were read, which whoever takes a host changes, so that nobody comes in between.
 */
export async function refuseOthers(
  store: ConfigStore,
  bounds: Bounds | undefined,
  current: StoredRecord<'route'> | null,
  next: RouteRecord | null,
  { now, ownHosts }: { now: number; ownHosts: readonly string[] },
): Promise<void> {
  if (bounds === undefined || bounds.tenant === null || next === null) return;
  const before = current === null ? [] : servedHostsOf(current);
  const coming = servedHosts(next).filter((host) => !before.includes(host));
  for (const host of coming) {
    if (ownHosts.includes(host)) throw hostTaken(host);
    const names = [host, wildcardOf(host) ?? host];
    const routes = (await Promise.all(names.map((name) => routesNaming(store, name)))).flat();
    if (routes.some(({ value }) => !isOwn(bounds, value.tenant))) throw hostTaken(host);
  }
  if (coming.length > 0) await refuseBroughtByOthers(store, bounds, coming, now);
}

/** Throws `invalid_request` where upstreams are newly shown a certificate of somebody else: as if there were none. */
export async function refuseOthersCertificates(
  store: ConfigStore,
  bounds: Bounds | undefined,
  current: StoredRecord<'route'> | null,
  next: RouteRecord,
): Promise<void> {
  if (bounds === undefined || bounds.tenant === null) return;
  const shown = current === null ? [] : clientCertificatesOf(current.value);
  for (const id of clientCertificatesOf(next))
    if (!shown.includes(id) && !(await isOwnCertificate(store, bounds, id)))
      throw noSuchCertificate(next, id);
}
