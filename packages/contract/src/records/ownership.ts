import type { DnsRequirement } from '../api/dns-requirement.ts';
import { recordKind } from './kind-module.ts';

/** How a name can be proven: by a TXT record, or by a text that the server gives to which the name leads. */
export type OwnershipProof = 'txt' | 'http';

/** How a host stands for one tenant, whose routes name it, with whom it has to be proven. */
export interface OwnershipRecord {
  host: string;
  /** Null: of routes without a tenant. */
  tenant: string | null;
  /** The proof that is asked for, by the token that named the host; null: what the settings ask when it is looked at. */
  policy: OwnershipProof | null;
  /** When it was proven, and how; null: it waits. */
  proven: { at: string; by: OwnershipProof } | null;
  /** Since when it waits, and how often it was looked at since somebody asked last. */
  since: string;
  checks: number;
  /** The last look took long, as those at a DNS or a server do that is silent; left out: it did not. */
  slow?: true | undefined;
  /** What the last look has found, in a sentence; empty before the first. */
  detail: string;
  /** What has to be there, any of them, and what was. */
  requirements: DnsRequirement[];
  /** Until when somebody waits for a route of it to be live; null: nobody does. */
  waitedUntil: string | null;
  /** When it is looked at next, and where no route names the host any more, forgotten; null: proven. */
  dueAt: string | null;
}

export const ownership = recordKind<OwnershipRecord>()({
  kind: 'ownership',
  audience: 'control',
  version: 1,
  secret: {},
  journal: (after) => after !== null && after.proven !== null,
});

/** Of a tenant's host: no host has a slash. */
export function ownershipId(host: string, tenant: string | null | undefined): string {
  return `${host}/${tenant ?? ''}`;
}

/** The queues of looks: nobody's first one waits for those that found nothing before, and none that is quick for those that were slow. */
export const ownershipLanes = { first: 0, again: 1, slow: 2 } as const;
