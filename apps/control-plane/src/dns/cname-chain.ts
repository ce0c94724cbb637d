import { DnsFailure } from './dns-failure.ts';
import type { DnsLookup } from './dns-lookup.ts';

const maxLength = 8;

/** Where the CNAME records of a name lead, one after the other; empty where it has none. A circle is a DnsFailure. */
export async function cnameChain(lookup: DnsLookup, name: string): Promise<string[]> {
  const chain: string[] = [];
  for (let at = name; ; ) {
    const [next] = await lookup.cname(at);
    if (next === undefined) return chain;
    if (next === name || chain.includes(next)) {
      throw new DnsFailure(`the CNAME records of ${name} lead in a circle, through ${next}`);
    }
    if (chain.length === maxLength) {
      throw new DnsFailure(`the CNAME records of ${name} lead on over more than ${maxLength} names`);
    }
    chain.push(next);
    at = next;
  }
}

/**
 * The name at which a host's TXT record for dns-01 has to be made (RFC 8555, section 8.4): where the CNAME records of
 * `_acme-challenge.<host>` lead, or that name itself. A wildcard and its name share it.
 */
export async function challengeName(lookup: DnsLookup, host: string): Promise<string> {
  const name = `_acme-challenge.${host.replace(/^\*\./, '')}`;
  return (await cnameChain(lookup, name)).at(-1) ?? name;
}
