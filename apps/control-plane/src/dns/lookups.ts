import type { PutSettings } from '@lockstep/contract';
import { createDnsLookup, type DnsLookup } from './dns-lookup.ts';

/** The lookup by the resolvers of the settings, as they are now. */
export interface Lookups {
  current(): DnsLookup;
}

export function createLookups(settings: { current(): Pick<PutSettings, 'resolvers'> }): Lookups {
  let servers: string | null = null;
  let lookup: DnsLookup | null = null;
  return {
    current() {
      const wanted = settings.current().resolvers;
      if (lookup === null || servers !== wanted.join()) {
        servers = wanted.join();
        lookup = createDnsLookup({ servers: wanted });
      }
      return lookup;
    },
  };
}
