import type { SoaRecord } from 'node:dns';
import { Resolver, lookup as resolveServerName } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { PutSettings } from '@lockstep/contract';
import pLimit from 'p-limit';
import { askForCaa, type CaaRecord, readCaa } from './caa-record.ts';
import { DnsFailure } from './dns-failure.ts';
import { formatServerAddress, parseServerAddress } from './server-address.ts';

export interface DnsLookupOptions {
  /** `host[:port]`; empty: the system's. */
  servers: readonly string[];
  /** For one try at one server. */
  timeoutMs?: number;
  tries?: number;
  /** For one question in all, however many servers there are to try. */
  deadlineMs?: number;
  /** Questions under way at once. High, so that names whose servers are dead do not hold up the others. */
  concurrency?: number;
}

/**
 * Asks the DNS, and remembers nothing. "There is no such name" and "it has no such record" are empty lists; an answer that
 * could not be had is a DnsFailure, within `deadlineMs` of the question's turn. Names come back in lower case, without the
 * dot at the end. CNAMEs are followed as the resolver does it, save by `cname`.
 */
export interface DnsLookup {
  /** A and AAAA. Fails when neither could be asked for; one alone is enough for a CA, and so for us. */
  addresses(name: string): Promise<string[]>;
  /** The next name only. */
  cname(name: string): Promise<string[]>;
  caa(name: string): Promise<CaaRecord[]>;
  ns(name: string): Promise<string[]>;
  soa(name: string): Promise<SoaRecord[]>;
  /** Each record's strings joined. */
  txt(name: string): Promise<string[]>;
  /** The same questions to other servers, within the same limit. */
  at(servers: readonly string[]): DnsLookup;
}

export function createDnsLookup({
  servers,
  timeoutMs = 3_000,
  tries = 2,
  deadlineMs = 10_000,
  concurrency = 64,
}: DnsLookupOptions): DnsLookup {
  const limit = pLimit(concurrency);
  return lookupAt(servers);

  function lookupAt(servers: readonly string[]): DnsLookup {
    function ask<T>(type: string, name: string, query: (resolver: Resolver) => Promise<T[]>): Promise<T[]> {
      return limit(async () => {
        // One for each question: it can be cancelled alone, and takes up changes of the system's configuration.
        const resolver = new Resolver({ timeout: timeoutMs, tries, maxTimeout: timeoutMs });
        const late = Promise.withResolvers<never>();
        const timer = setTimeout(() => {
          late.reject(Object.assign(new Error('deadline'), { code: 'ETIMEOUT' }));
          resolver.cancel();
        }, deadlineMs);
        try {
          return await Promise.race([query(await withServers(resolver, late.promise)), late.promise]);
        } catch (cause) {
          const code = codeOf(cause);
          if (code === 'ENOTFOUND' || code === 'ENODATA') return [];
          const where = servers.length === 0 ? '' : ` at ${servers.join(', ')}`;
          throw new DnsFailure(`looking up ${type} of ${name}${where}: ${describe(code)}`, { cause });
        } finally {
          clearTimeout(timer);
        }
      });
    }

    async function withServers(resolver: Resolver, late: Promise<never>): Promise<Resolver> {
      if (servers.length === 0) return resolver;
      const addresses = servers.map(async (server) => {
        const { host, port } = parseServerAddress(server);
        const ip = isIP(host) ? host : (await Promise.race([resolveServerName(host), late])).address;
        return formatServerAddress({ host: ip, port });
      });
      try {
        resolver.setServers(await Promise.all(addresses));
      } catch (cause) {
        // Its own ENOTFOUND would read as: the name that was asked for does not exist.
        throw Object.assign(new Error('bad server', { cause }), { code: 'EBADSERVER' });
      }
      return resolver;
    }

    return {
      async addresses(name) {
        const [a, aaaa] = await Promise.allSettled([
          ask('A', name, (resolver) => resolver.resolve4(name)),
          ask('AAAA', name, (resolver) => resolver.resolve6(name)),
        ]);
        if (a.status === 'rejected' && aaaa.status === 'rejected') throw a.reason;
        return [a, aaaa].flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
      },
      cname: async (name) =>
        (await ask('CNAME', name, (resolver) => resolver.resolveCname(name))).map(plainName),
      caa: (name) =>
        ask('CAA', name, async (resolver) => {
          try {
            return (await resolver.resolveCaa(name)).map(readCaa);
          } catch (error) {
            // c-ares cannot read a record with an empty value, which RFC 8659, section 4.2 allows.
            if (codeOf(error) !== 'EBADRESP') throw error;
            return await askForCaa(resolver.getServers().map(parseServerAddress), name, timeoutMs);
          }
        }),
      ns: async (name) => (await ask('NS', name, (resolver) => resolver.resolveNs(name))).map(plainName),
      soa: (name) => ask('SOA', name, async (resolver) => [await resolver.resolveSoa(name)]),
      txt: async (name) =>
        (await ask('TXT', name, (resolver) => resolver.resolveTxt(name))).map((strings) => strings.join('')),
      at: lookupAt,
    };
  }
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? error);
}

function describe(code: string): string {
  switch (code) {
    case 'ETIMEOUT':
    case 'ECANCELLED':
      return 'no answer in time';
    case 'ESERVFAIL':
      return "the DNS server answered SERVFAIL; the name's own servers fail, or its DNSSEC is broken";
    case 'EREFUSED':
      return 'the DNS server refuses to answer';
    case 'ECONNREFUSED':
      return 'the DNS server cannot be reached';
    case 'EFORMERR':
    case 'EBADRESP':
      return 'the DNS server and Lockstep do not understand each other';
    case 'ENOTIMP':
      return 'the DNS server does not know this type of record';
    case 'EBADNAME':
      return 'the DNS cannot hold such a name';
    case 'EBADSERVER':
      return 'the name of the DNS server could not be resolved';
    default:
      return `no answer (${code})`;
  }
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

/** Where tenants may have any names looked up: room for all that one may ask for at once, and for others, whose questions wait for none that is silent. */
export const anyonesQuestions = { concurrency: 512 } as const;

/** The lookup by the resolvers of the settings, as they are now. */
export interface Lookups {
  current(): DnsLookup;
}

export function createLookups(
  settings: { current(): Pick<PutSettings, 'resolvers'> },
  more: Pick<DnsLookupOptions, 'concurrency'> = {},
): Lookups {
  let servers: string | null = null;
  let lookup: DnsLookup | null = null;
  return {
    current() {
      const wanted = settings.current().resolvers;
      if (lookup === null || servers !== wanted.join()) {
        servers = wanted.join();
        lookup = createDnsLookup({ ...more, servers: wanted });
      }
      return lookup;
    },
  };
}
