import {
  addressOfHost,
  type OwnershipPolicy,
  type OwnershipRecord,
  ownershipId,
  type PutSettings,
  type StoredRecord,
  waitingClaimPrefix,
  wildcardOf,
} from '@lockstep/contract';
import type { Change, Check, ConfigStore } from '@lockstep/store';
import { findBrought } from '../certificates/brought.ts';
import { hostTaken } from '../certificates/own-certificates.ts';
import { routesNaming } from '../certificates/tenants-of-host.ts';
import type { WriteOrigin } from '../changes/writes.ts';
import { iso } from '../time/iso.ts';
import type { OwnershipTokens } from './ownership-tokens.ts';
import { requirementsOf } from './proofs.ts';
import { newOwnership, putOwnership } from './put-ownership.ts';

/** How long a proof is kept where no route of its tenant names the host any more, as the certificate is. */
const unusedGraceMs = 3_600_000;

/** More than a single route has. */
const claimsAtOnce = 200;

/** A route before and after a change, by its names. */
export interface NamesOfChange {
  id: string;
  before: { tenant: string | undefined; named: readonly string[]; served: readonly string[] } | null;
  /** Null: it goes. */
  after: { tenant: string | undefined; named: readonly string[] } | null;
  waitMs: number | null;
}

export interface Settled {
  /** Of the names after the change those that wait for a proof. */
  unproven: string[];
  checks: Check[];
  changes: Change[];
}

/** Decides, as a route is written, which of its hosts have to be proven first. */
export interface HostOwnership {
  policyOf(origin: Pick<WriteOrigin, 'ownership'>): OwnershipPolicy;
  /**
   * A host that the route serves already stays served. One that comes is, where nothing has to be proven; where a route of the same tenant
   * serves it, or the wildcard above it; or where it was proven before, and nobody else has it. All others wait.
   */
  settle(origin: WriteOrigin, names: NamesOfChange): Promise<Settled>;
  /**
   * Of these hosts, which come to be served, those that somebody else has. Asked after the orders of the hosts were read, which whoever takes a
   * host changes.
   */
  heldByOthers(hosts: readonly string[], tenant: string | undefined): Promise<string[]>;
}

export interface HostOwnershipOptions {
  store: ConfigStore;
  tokens: OwnershipTokens;
  settings(): Pick<PutSettings, 'ownership'>;
  /** Hosts that control planes serve themselves. */
  ownHosts?: readonly string[];
  now: () => number;
}

const nothing: Settled = { unproven: [], checks: [], changes: [] };

export function createHostOwnership({
  store,
  tokens,
  settings,
  ownHosts = [],
  now,
}: HostOwnershipOptions): HostOwnership {
  const policyOf: HostOwnership['policyOf'] = ({ ownership }) => ownership ?? settings().ownership;

  /** Who has a host: this tenant, others, or nobody. */
  async function holdersOf(host: string, tenant: string | undefined): Promise<'own' | 'others' | null> {
    const wildcard = wildcardOf(host) ?? host;
    const [exact, above] = await Promise.all([
      routesNaming(store, host),
      wildcard === host ? [] : routesNaming(store, wildcard),
    ]);
    // The operator may have several tenants share a host.
    if (exact.some(({ value }) => value.tenant === tenant)) return 'own';
    const routes = [...exact, ...above];
    if (routes.some(({ value }) => value.tenant !== tenant)) return 'others';
    const brought = (await findBrought(store, [host], now())).get(host)?.value.tenant;
    if (brought !== undefined && brought !== tenant) return 'others';
    return routes.length > 0 ? 'own' : null;
  }

  async function settleComing(
    host: string,
    origin: WriteOrigin,
    { after, waitMs }: NamesOfChange,
    record: StoredRecord<'ownership'> | null,
  ): Promise<Settled> {
    const tenant = after?.tenant;
    const id = ownershipId(host, tenant);
    const checks: Check[] = [{ kind: 'ownership', id, revision: record?.revision ?? null }];
    const has = await holdersOf(host, tenant);
    if (has === 'own') return nothing;
    if (has === null && record !== null && record.value.proven !== null) {
      const changes = record.value.dueAt === null ? [] : [putOwnership({ ...record.value, dueAt: null })];
      return { unproven: [], checks, changes };
    }
    if (ownHosts.includes(host)) throw hostTaken(host);
    const policy = origin.ownership === 'off' ? null : (origin.ownership ?? null);
    const claimant = { host, tenant: tenant ?? null };
    const known = record?.value ?? newOwnership({ ...claimant, now: now() });
    const at = iso(now());
    const asked = policyOf(origin) === 'http' ? 'http' : 'txt';
    const waitedUntil = waitMs === null ? known.waitedUntil : iso(now() + waitMs);
    // Whoever asks again is looked at again, as if nothing had been found before.
    const value: OwnershipRecord = {
      ...known,
      policy,
      proven: null,
      checks: 0,
      requirements: await requirementsOf(tokens, claimant, asked),
      waitedUntil,
      dueAt: at,
    };
    return { unproven: [host], checks, changes: [putOwnership(value)] };
  }

  /** What becomes of what is known of a host that a route of the tenant names no longer. */
  async function settleGoing(
    routeId: string,
    { id, revision, value }: StoredRecord<'ownership'>,
  ): Promise<Settled> {
    const { host, tenant, proven } = value;
    const served = await routesNaming(store, host);
    const waiting = await store.findClaims(waitingClaimPrefix(host, tenant), claimsAtOnce);
    const named =
      served.some((route) => route.id !== routeId && (route.value.tenant ?? null) === tenant) ||
      waiting.some((holder) => holder.id !== routeId);
    if (named) return nothing;
    const change: Change =
      proven === null
        ? { op: 'delete', kind: 'ownership', id }
        : putOwnership({ ...value, dueAt: iso(now() + unusedGraceMs) });
    return { unproven: [], checks: [{ kind: 'ownership', id, revision }], changes: [change] };
  }

  return {
    policyOf,

    async settle(origin, names) {
      const { id, before, after } = names;
      const off = policyOf(origin) === 'off';
      const isServed = (host: string) => before?.served.includes(host) === true;
      // Whose an IP address is, is not for its user to prove: it is the fleet's, and a route for it takes a token without a tenant.
      const provable = (host: string) => !isServed(host) && addressOfHost(host) === null;
      const coming = after === null || off ? [] : after.named.filter(provable);
      const stays = (host: string) =>
        after?.tenant === before?.tenant && after?.named.includes(host) === true;
      const going = (before?.named ?? []).filter((host) => !stays(host));
      // Where nothing has to be proven any more, what waited is forgotten.
      const freed = off ? (before?.named ?? []).filter((host) => stays(host) && !isServed(host)) : [];
      if (coming.length + going.length + freed.length === 0) return nothing;
      const idsOf = (hosts: readonly string[], tenant: string | undefined) =>
        hosts.map((host) => ownershipId(host, tenant));
      const [ofComing, ofGoing] = await Promise.all([
        store.getMany('ownership', idsOf(coming, after?.tenant)),
        store.getMany('ownership', idsOf([...going, ...freed], before?.tenant)),
      ]);
      const settled = await Promise.all([
        ...coming.map((host, index) => settleComing(host, origin, names, ofComing[index] ?? null)),
        ...ofGoing.filter((record) => record !== null).map((record) => settleGoing(id, record)),
      ]);
      return {
        unproven: settled.flatMap(({ unproven }) => unproven),
        checks: settled.flatMap(({ checks }) => checks),
        changes: settled.flatMap(({ changes }) => changes),
      };
    },

    async heldByOthers(hosts, tenant) {
      const names = hosts.filter((host) => addressOfHost(host) === null);
      const held = await Promise.all(names.map((host) => holdersOf(host, tenant)));
      return names.filter((_, index) => held[index] === 'others');
    },
  };
}
