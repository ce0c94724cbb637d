import type { DnsRequirement } from '@lockstep/contract';

export interface PreflightResult {
  ok: boolean;
  /** What is wrong, in a sentence; what was found, when all is well. */
  detail: string;
  requirements: DnsRequirement[];
  /** The issuers of the chain that CAA allows, in their order; all of them where nothing is checked. */
  issuers: string[];
}

/** Looks, without asking a CA, whether an order for a host could succeed. */
export interface Preflight {
  /** Off, and so always ok, until the settings name edge addresses. Never throws for what the DNS says or does not say. */
  check(host: string): Promise<PreflightResult>;
}
