import type { DnsProvider } from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Lookups } from '../dns/lookups.ts';
import type { SettingsSource } from '../settings/settings-source.ts';
import { createTxtPublisher, type TxtPublisher } from './acme/txt-publisher.ts';

export interface TxtPublishersOptions {
  settings: SettingsSource;
  lookups: Lookups;
  log: Logger;
  now: () => number;
}

/** One publisher for each DNS provider in use, made anew when its settings change. */
export interface TxtPublishers {
  /** The issuer's own provider, else that of the settings; null without either. */
  find(own: DnsProvider | undefined): TxtPublisher | null;
  close(): void;
}

const kept = 20;

export function createTxtPublishers({ settings, lookups, log, now }: TxtPublishersOptions): TxtPublishers {
  const publishers = new Map<string, TxtPublisher>();

  return {
    find(own) {
      const { dnsProvider, authoritativeServers } = settings.current();
      const config = own ?? dnsProvider;
      if (config === undefined) return null;
      const lookup = lookups.current();
      const key = JSON.stringify([config, authoritativeServers, settings.current().resolvers]);
      const known = publishers.get(key);
      if (known !== undefined) return known;
      const publisher = createTxtPublisher({ config, lookup, authoritativeServers, log, now });
      publishers.set(key, publisher);
      const [oldest] = publishers.keys();
      if (publishers.size > kept && oldest !== undefined) {
        publishers.get(oldest)?.close();
        publishers.delete(oldest);
      }
      return publisher;
    },
    close() {
      for (const publisher of publishers.values()) publisher.close();
    },
  };
}
