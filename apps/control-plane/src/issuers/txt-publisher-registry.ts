import type { DnsProvider, PutSettings } from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Lookups } from '../dns/dns-lookup.ts';
import { createTxtPublisher, type TxtPublisher } from './acme/txt-publisher.ts';

export interface TxtPublisherRegistryOptions {
  settings: { current(): Pick<PutSettings, 'dnsProvider' | 'authoritativeServers' | 'resolvers'> };
  lookups: Lookups;
  /** For providers that are called over HTTP. */
  fetch?: typeof globalThis.fetch | undefined;
  log: Logger;
  now: () => number;
}

/** One publisher for each DNS provider in use, made anew when its settings change. */
export interface TxtPublisherRegistry {
  /** The issuer's own provider, else that of the settings; null without either. */
  find(own: DnsProvider | undefined): TxtPublisher | null;
  close(): void;
}

/** Beyond, those that were asked for longest ago go: once more needed, they are made anew. */
const kept = 200;

export function createTxtPublisherRegistry({
  settings,
  lookups,
  fetch,
  log,
  now,
}: TxtPublisherRegistryOptions): TxtPublisherRegistry {
  /** The one asked for last stands last. */
  const publishers = new Map<string, TxtPublisher>();

  /** Never one in use: its record would not be made, and the order fail for nothing. */
  function dropIdle(): void {
    for (const [key, publisher] of publishers) {
      if (publishers.size <= kept) return;
      if (publisher.idle()) publishers.delete(key);
    }
  }

  return {
    find(own) {
      const { dnsProvider, authoritativeServers } = settings.current();
      const config = own ?? dnsProvider;
      if (config === undefined) return null;
      const lookup = lookups.current();
      const key = JSON.stringify([config, authoritativeServers, settings.current().resolvers]);
      const publisher =
        publishers.get(key) ?? createTxtPublisher({ config, lookup, fetch, authoritativeServers, log, now });
      publishers.delete(key);
      dropIdle();
      publishers.set(key, publisher);
      return publisher;
    },
    close() {
      for (const publisher of publishers.values()) publisher.close();
    },
  };
}
