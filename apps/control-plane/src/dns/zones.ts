import { LRUCache } from 'lru-cache';
import { identifierOf, registeredDomain } from '../names/registered-domain.ts';
import { DnsFailure } from './dns-failure.ts';
import type { Lookups } from './dns-lookup.ts';
import { type Keeper, keeperOf } from './known-dns.ts';

const keptMs = 600_000;
const failureKeptMs = 30_000;
const most = 10_000;
/** A name can be many labels below the domain that was registered. */
const steps = 3;

/** The zone that the records of a host are kept in. */
export interface Zone {
  name: string;
  /** Empty where they could not be asked for. */
  nameServers: string[];
  /** Null: not known. */
  keeper: Keeper | null;
}

/** Finds who keeps the records of hosts, by the name servers of their zones. What was found is kept for ten minutes, that there was no answer for half a minute. */
export interface Zones {
  /** `own`: a zone begins at the host itself. Never rejects for what the DNS says or does not say. */
  of(host: string, own?: boolean): Promise<Zone>;
}

export function createZones({ lookups }: { lookups: Lookups }): Zones {
  const kept = new LRUCache<string, Promise<string[]>>({ max: most, ttl: keptMs });

  function nameServersOf(name: string): Promise<string[]> {
    const known = kept.get(name);
    if (known !== undefined) return known;
    const asked = lookups
      .current()
      .ns(name)
      .then(async (servers) => (servers.length > 0 && (await isAlias(name)) ? [] : servers.sort()));
    kept.set(name, asked);
    asked.catch(() => kept.set(name, asked, { ttl: failureKeptMs }));
    return asked;
  }

  /** A name that has a CNAME record is answered for with the name servers of what that leads to. */
  async function isAlias(name: string): Promise<boolean> {
    return (await lookups.current().cname(name)).length > 0;
  }

  return {
    async of(host, own = false) {
      const name = identifierOf(host);
      const registered = registeredDomain(name);
      try {
        for (const candidate of candidates(name, registered, own)) {
          const nameServers = await nameServersOf(candidate);
          if (nameServers.length > 0) return { name: candidate, nameServers, keeper: keeperOf(nameServers) };
        }
      } catch (error) {
        if (!(error instanceof DnsFailure)) throw error;
      }
      return { name: own ? name : registered, nameServers: [], keeper: null };
    },
  };
}

/** From the nearest up to the registered domain. */
function candidates(name: string, registered: string, own: boolean): string[] {
  const found: string[] = [];
  for (let at = name; at !== registered && at.includes('.'); at = at.slice(at.indexOf('.') + 1)) {
    if (at !== name || own) found.push(at);
  }
  return [...found.slice(0, steps), registered];
}
