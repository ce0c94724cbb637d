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
