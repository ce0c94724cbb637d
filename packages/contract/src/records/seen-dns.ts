import type { DnsRequirement } from '../api/dns-requirement.ts';

/**
 * What a look at the DNS found for a host. The records that it needs are worked out from it each time, by the settings as they are then: of
 * what is not asked any more nothing is left over.
 */
export interface SeenDns {
  /** When it was found so. */
  at: string;
  /** Null: not asked for, as the settings name no edge addresses. */
  traffic: SeenTraffic | 'elsewhere' | null;
  /** The CAA record of those that keep it from the issuers, or that it has by now; null: it has none, and needs none. */
  caa: DnsRequirement | null;
  /** The records of dns-persist-01, of each issuer that wants one. */
  challenge: SeenPersist[];
}

/** The record by which an issuer may validate a host, for as long as it stands. */
export interface SeenPersist {
  issuer: string;
  requirement: DnsRequirement;
  /** When it runs out; null: never, or it is of no use. */
  until: string | null;
}

/** Where a host leads. `elsewhere` in its place: it need not lead to the edges, as it is behind a CDN, or a control plane's own. */
export interface SeenTraffic {
  /** Where its CNAME records lead, one after the other. */
  chain: string[];
  /** Null: not asked for, as its CNAME records reach one of the fleet's names. */
  addresses: string[] | null;
  /** Why there was no answer. */
  failure: string | null;
  /** A zone begins at the host, so that it cannot have a CNAME record. */
  zone: boolean;
  /** The addresses of those of the fleet's names that were asked for. */
  fleet: Record<string, string[]>;
  fleetFailure: string | null;
  /** Who runs its DNS, by a name of the table of those that are known; null: not known. */
  keeper: string | null;
}
