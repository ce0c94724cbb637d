import type { DnsProvider, TxtChallenge } from '@lockstep/contract';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { challengeName } from '../../dns/challenge-name.ts';
import { DnsFailure } from '../../dns/dns-failure.ts';
import type { DnsLookup } from '../../dns/dns-lookup.ts';
import { checkPropagation } from '../../dns/propagation.ts';
import { createDnsProvider } from '../../dns/providers/create-dns-provider.ts';
import { DnsProviderError } from '../../dns/providers/dns-provider-error.ts';
import { IssuerFailure } from '../issuer.ts';

const firstLookMs = 500;
const longestLookMs = 30_000;
/** Servers that do not have the record by then will not get it by waiting. */
const patienceMs = 900_000;
/** Another control plane may withdraw what this one made. */
const rememberedRecords = 10_000;

export interface TxtPublisherOptions {
  config: DnsProvider;
  lookup: DnsLookup;
  /** Asked instead of the servers that the NS records name, when there are any. */
  authoritativeServers: string[];
  log: Logger;
  now: () => number;
}

/** Makes TXT records for dns-01, and tells when every authoritative server has them. */
export interface TxtPublisher {
  /** Where the record of a host has to be made: `_acme-challenge` below it, or where that leads by CNAME. Throws `IssuerFailure`. */
  nameFor(host: string): Promise<string>;
  /** Makes the record if it is not there; how long until the next look, or null when every server has it. Throws `IssuerFailure`. */
  publish(host: string, txt: TxtChallenge): Promise<number | null>;
  /** Removes the record. Never throws. */
  withdraw(host: string, txt: TxtChallenge): Promise<void>;
  close(): void;
}

export function createTxtPublisher({
  config,
  lookup,
  authoritativeServers,
  log,
  now,
}: TxtPublisherOptions): TxtPublisher {
  const provider = createDnsProvider(config, { lookup, log });
  /** Made by this process: once made, only looked after. */
  const made = new LRUCache<string, true>({ max: rememberedRecords });

  async function explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DnsProviderError) && !(error instanceof DnsFailure)) throw error;
      throw new IssuerFailure(error.message, { kind: 'unproven', cause: error });
    }
  }

  return {
    nameFor: (host) => explained(() => challengeName(lookup, host)),
    publish: (host, { name, value, since }) =>
      explained(async () => {
        if (!made.has(value)) {
          await provider.present({ host, name, value });
          made.set(value, true);
        }
        const { done, missing } = await checkPropagation(lookup, { name, value, authoritativeServers });
        if (done) return null;
        const waitedMs = now() - Date.parse(since);
        if (waitedMs > patienceMs) {
          throw new IssuerFailure(
            `the TXT record at ${name} was made, but after 15 minutes these servers do not have it: ${missing.join(', ')}`,
            { kind: 'unproven' },
          );
        }
        return Math.min(longestLookMs, Math.max(firstLookMs, waitedMs / 4));
      }),
    async withdraw(host, { name, value }) {
      made.delete(value);
      try {
        await provider.remove({ host, name, value });
      } catch (error) {
        log.warn(
          { err: error, name },
          'a TXT record could not be removed; it does no harm, and is yours to remove',
        );
      }
    },
    close: () => provider.close(),
  };
}
