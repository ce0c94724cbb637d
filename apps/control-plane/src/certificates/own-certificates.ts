import { AppError, addressOfHost, servedHosts } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { type Bounds, beyondToken, isOwn, requireSuffix } from '../auth/bounds.ts';
import { allHolders } from '../changes/by-claims.ts';
import { findBrought, isBroughtId } from './brought.ts';
import { tenantClaimPrefix } from './tenant-claim.ts';
import { isHostOf, provenClaimPrefix, routesNaming } from './tenants-of-host.ts';

// A brought certificate is of the tenant that its record names; a managed one of those with a route for its host.

type Reads = Pick<ConfigStore, 'get' | 'getMany' | 'findClaims'>;

const routesAtOnce = 1_000;

export async function isOwnCertificate(
  store: Reads,
  bounds: Bounds | undefined,
  id: string,
): Promise<boolean> {
  const tenant = bounds?.tenant ?? null;
  if (tenant === null) return true;
  if (!isBroughtId(id)) return isHostOf(store, tenant, id);
  return (await store.get('certificate', id))?.value.tenant === tenant;
}

/** The ids of a tenant's certificates, in their order, those not issued yet too. */
export async function certificatesOfTenant(store: Reads, tenant: string): Promise<string[]> {
  const held = async (kind: 'certificate' | 'route') =>
    (await allHolders(store, tenantClaimPrefix(kind, tenant))).map(({ id }) => id);
  const ids = new Set(await held('certificate'));
  const routes = await held('route');
  for (let from = 0; from < routes.length; from += routesAtOnce)
    for (const record of await store.getMany('route', routes.slice(from, from + routesAtOnce)))
      for (const host of record === null ? [] : servedHosts(record.value)) ids.add(host);
  return [...ids].sort();
}

/** Throws `forbidden` where the token is for no such names. */
export function requireNames(bounds: Bounds | undefined, names: readonly string[], pointer: string): void {
  for (const name of names) requireSuffix(bounds, name, pointer);
}

/**
 * Of the names of a certificate those that it is served for when this token brings it: no IP addresses, which are the fleet's. Throws `forbidden`
 * where there is nothing else.
 */
export function namesWithin(bounds: Bounds | undefined, names: string[]): string[] {
  if (bounds === undefined) return names;
  const own = names.filter((name) => addressOfHost(name) === null);
  if (own.length === 0 && names.length > 0)
    throw beyondToken(
      '/chain',
      'the certificate names IP addresses alone, which all tenants share: it takes a token that is bound to nothing',
    );
  return own;
}

/**
 * Throws unless a tenant may have a certificate served for these names: edges serve it to whoever asks for one of them. Those that its routes
 * name, and beyond those what its token is for by name and nobody else's route names. Where names have to be proven, `servedAlone`, the former
 * alone: whether somebody else's route names one is not told then.
 */
export async function requireServable(
  store: Reads,
  bounds: Bounds | undefined,
  names: readonly string[],
  { now, servedAlone }: { now: number; servedAlone: boolean },
): Promise<void> {
  if (bounds === undefined) return;
  requireNames(bounds, names, '/chain');
  const { tenant, hostSuffixes } = bounds;
  if (tenant === null) return;
  for (const name of names) {
    const routes = await routesNaming(store, name);
    if (servedAlone && !routes.some(({ value }) => value.tenant === tenant))
      throw beyondToken(
        '/chain',
        `no route of "${tenant}" serves "${name}"; create it first, and prove whose the name is`,
      );
    if (routes.some(({ value }) => value.tenant !== tenant)) throw hostTaken(name);
    if (name.startsWith('*.') && (await isProvenBelow(store, name, tenant))) throw hostTaken(name);
    const mayPrecede = hostSuffixes !== null || servedAlone;
    if (!mayPrecede && (routes.length === 0 || name.startsWith('*.')))
      throw beyondToken(
        '/chain',
        name.startsWith('*.')
          ? `"${name}" is a wildcard, for which the token has to have hostSuffixes`
          : `no route of "${tenant}" names "${name}"; create it first`,
      );
  }
  await refuseBroughtByOthers(store, bounds, names, now);
}

/** Whether somebody else has proven a host that the wildcard stands for: edges would serve its certificate for that. */
async function isProvenBelow(store: Reads, wildcard: string, tenant: string): Promise<boolean> {
  const holders = await allHolders(store, provenClaimPrefix(wildcard));
  return holders.some(({ id }) => !id.endsWith(`/${tenant}`));
}

/** Throws `host_taken` where edges would serve a certificate of another tenant for one of the names. */
export async function refuseBroughtByOthers(
  store: Reads,
  bounds: Bounds | undefined,
  names: readonly string[],
  now: number,
): Promise<void> {
  for (const [name, { value }] of await findBrought(store as ConfigStore, [...names], now))
    if (value.tenant !== undefined && !isOwn(bounds, value.tenant)) throw hostTaken(name);
}

/** Names nobody: whose it is, is not said. */
export function hostTaken(host: string, facts: { path?: string | null } = {}): AppError {
  const path = facts.path == null ? '' : ` with path "${facts.path}"`;
  return new AppError('host_taken', `host "${host}"${path} is taken`, { facts: { host, ...facts } });
}

/** How a route is spoken of, with the facts that name it: one of another tenant by nothing. */
export type RouteWords = (id: string) => Promise<{ words: string; facts: { route?: string } }>;

export function createRouteWords(store: Reads, bounds: Bounds | undefined): RouteWords {
  return async (id) => {
    const own = bounds === undefined || isOwn(bounds, (await store.get('route', id))?.value.tenant);
    return own ? { words: `route "${id}"`, facts: { route: id } } : { words: 'a route', facts: {} };
  };
}
