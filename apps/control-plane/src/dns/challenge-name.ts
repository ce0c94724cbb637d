import { cnameChain } from './cname-chain.ts';
import type { DnsLookup } from './dns-lookup.ts';

/**
 * The name at which a host's TXT record for dns-01 has to be made (RFC 8555, section 8.4): where the CNAME records of
 * `_acme-challenge.<host>` lead, or that name itself. A wildcard and its name share it.
 */
export async function challengeName(lookup: DnsLookup, host: string): Promise<string> {
  const name = `_acme-challenge.${host.replace(/^\*\./, '')}`;
  return (await cnameChain(lookup, name)).at(-1) ?? name;
}
