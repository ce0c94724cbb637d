import {
  type DnsRequirement,
  type OwnershipPolicy,
  type OwnershipProof,
  type OwnershipRecord,
  type PutSettings,
  type StoredRecord,
  wildcardOf,
} from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { findBrought } from '../certificates/brought.ts';
import { routesNaming } from '../certificates/tenants-of-host.ts';
import type { OwnershipLooks } from './ownership-looks.ts';

/** Whether a host that waits may be taken now, and from whom. */
export type Verdict =
  | {
      may: 'take';
      /** By what; null: a route of the same tenant serves it, or nothing has to be proven any more. */
      proven: OwnershipProof | null;
      /** Who has the host now, and loses it by that; null: nobody does, it is shared with whoever has it too. */
      losers: (string | null)[] | null;
      requirements: DnsRequirement[];
    }
  | {
      may: 'wait';
      /** Why, in a sentence that names nobody. */
      detail: string;
      requirements: DnsRequirement[];
    };

/** Who asks for a host, and which proof is asked for; null: what the settings say. */
export interface Claim extends Pick<OwnershipRecord, 'host' | 'tenant'> {
  policy: OwnershipPolicy | null;
}

export type Judge = (claim: Claim) => Promise<Verdict>;

export interface VerdictsOptions {
  store: ConfigStore;
  settings(): Pick<PutSettings, 'ownership'>;
  looks: OwnershipLooks;
  now: () => number;
}

/**
 * A name that nobody has is whose proof is seen. One that somebody else has is taken over with a TXT record alone, seen in the same look in
 * which that one's is gone: so of two that are both there, whoever has the name keeps it, and the owner of the zone decides by what he leaves
 * there. What the DNS does not answer is no proof, and no loss.
 */
export function createVerdicts({ store, settings, looks, now }: VerdictsOptions): Judge {
  return async ({ host, tenant, policy: own }) => {
    const policy = own ?? settings().ownership;
    const claimant = { host, tenant };
    const routes = await routesNaming(store, host);
    const holders = new Set(routes.map(({ value }) => value.tenant ?? null));
    const mine = holders.delete(tenant);
    const losers = [...holders];
    const above = await tenantsAbove(host, tenant);
    const covered = (await broughtByOthers(host, tenant)) !== null;
    const free = losers.length === 0 && above.length === 0 && !covered;
    if (policy === 'off' && free) return { may: 'take', proven: null, losers, requirements: [] };

    // Whether anybody has the name must not be told by what is asked for.
    const asked = policy === 'http' ? 'http' : 'txt';
    const seen = await looks.look(claimant, asked);
    const { requirements } = seen;
    if (mine) {
      // It is served as it is; with the record nobody takes it over.
      const done = requirements.map((one) => ({ ...one, ok: true, hint: null }));
      return { may: 'take', proven: null, losers: null, requirements: done };
    }
    const wait = (detail: string): Verdict => ({
      may: 'wait',
      detail,
      // What is there is not enough.
      requirements: requirements.map((one) => ({ ...one, ok: false, hint: one.hint ?? detail })),
    });
    if (seen.proven === null) return wait(seen.detail);
    if (seen.proven !== 'txt' && !free)
      return wait(
        `${seen.detail}; but a name that somebody else has is taken over by its TXT record alone: create that`,
      );
    for (const loser of losers) {
      const theirs = await looks.hasTxt({ host, tenant: loser });
      if (theirs === 'there')
        return wait(
          `${seen.detail}, and that of somebody else who has the name now: remove the other record that begins with lockstep-, and the name is yours`,
        );
      if (theirs === 'unknown')
        return wait(`${seen.detail}; whether somebody else’s is still there could not be asked`);
    }
    const brought = await broughtByOthers(host, tenant);
    if (brought?.value.names?.includes(host) === false)
      return wait(
        `${seen.detail}; but a certificate for all names beside it was brought by somebody else, and would be served for it: ask whoever runs this service`,
      );
    return { may: 'take', proven: seen.proven, losers, requirements };
  };

  /** The certificate that another tenant has brought, which edges would serve for the host. */
  async function broughtByOthers(
    host: string,
    tenant: string | null,
  ): Promise<StoredRecord<'certificate'> | null> {
    const brought = (await findBrought(store, [host], now())).get(host) ?? null;
    const owner = brought?.value.tenant;
    return owner === undefined || owner === tenant ? null : brought;
  }

  async function tenantsAbove(host: string, tenant: string | null): Promise<(string | null)[]> {
    const wildcard = wildcardOf(host);
    if (wildcard === null || wildcard === host) return [];
    const routes = await routesNaming(store, wildcard);
    return routes.map(({ value }) => value.tenant ?? null).filter((one) => one !== tenant);
  }
}
