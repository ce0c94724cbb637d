import type { DnsProvider, TxtChallenge } from '@lockstep/contract';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { challengeName } from '../../dns/cname-chain.ts';
import { DnsFailure } from '../../dns/dns-failure.ts';
import type { DnsLookup } from '../../dns/dns-lookup.ts';
import { checkPropagation } from '../../dns/propagation.ts';
import { createDnsProvider } from '../../dns/providers/create-dns-provider.ts';
import type { TxtRecord } from '../../dns/providers/dns-provider-client.ts';
import { DnsProviderError } from '../../dns/providers/dns-provider-error.ts';
import { IssuerFailure } from '../issuer.ts';

const firstLookMs = 500;
const longestLookMs = 30_000;
/** Servers that do not have the record by then will not get it by waiting. */
const patienceMs = 900_000;
/** So long, no other host waits for the time-out of a provider that does not answer. */
const leastRestMs = 5_000;
/** A Retry-After beyond this is not taken at its word. */
const longestRestMs = 3_600_000;
/** Another control plane may withdraw what this one made. */
const rememberedRecords = 10_000;

export interface TxtPublisherOptions {
  config: DnsProvider;
  lookup: DnsLookup;
  fetch?: typeof globalThis.fetch | undefined;
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
  /** Nothing is under way. */
  idle(): boolean;
  /** Ends what is under way. */
  close(): void;
}

export function createTxtPublisher({
  config,
  lookup,
  fetch,
  authoritativeServers,
  log,
  now,
}: TxtPublisherOptions): TxtPublisher {
  const provider = createDnsProvider(config, { lookup, log, ...(fetch && { fetch }) });
  /** When this process made each: once made, it is only looked after. */
  const made = new LRUCache<string, number>({ max: rememberedRecords });
  /** While the provider asked to be left alone, or did not answer just now, no host asks it. */
  let rest: { until: number; error: DnsProviderError } | null = null;

  let underWay = 0;

  async function explained<T>(work: () => Promise<T>): Promise<T> {
    underWay += 1;
    try {
      return await work();
    } catch (error) {
      if (error instanceof DnsFailure)
        throw new IssuerFailure(error.message, { kind: 'hindered', cause: error });
      if (!(error instanceof DnsProviderError)) throw error;
      const kind = error.passing ? 'hindered' : 'unproven';
      const asked = error.retryAfterMs;
      const retryAfterMs = asked !== null && rest?.error === error ? Math.max(1, rest.until - now()) : asked;
      throw new IssuerFailure(error.message, { kind, cause: error, retryAfterMs });
    } finally {
      underWay -= 1;
    }
  }

  async function present(record: TxtRecord): Promise<number> {
    if (rest !== null && rest.until > now()) throw rest.error;
    rest = null;
    try {
      await provider.present(record);
      const madeAt = now();
      made.set(record.value, madeAt);
      return madeAt;
    } catch (error) {
      if (error instanceof DnsProviderError && error.passing) {
        const restMs = Math.min(longestRestMs, error.retryAfterMs ?? leastRestMs);
        rest = { until: now() + restMs, error };
      }
      throw error;
    }
  }

  return {
    nameFor: (host) => explained(() => challengeName(lookup, host)),
    publish: (host, { name, value }) =>
      explained(async () => {
        const madeAt = made.get(value) ?? (await present({ host, name, value }));
        const { done, missing } = await checkPropagation(lookup, { name, value, authoritativeServers });
        if (done) return null;
        const waitedMs = now() - madeAt;
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
      underWay += 1;
      try {
        await provider.remove({ host, name, value });
      } catch (error) {
        log.warn(
          { err: error, name },
          'a TXT record could not be removed; it does no harm, and is yours to remove',
        );
      } finally {
        underWay -= 1;
      }
    },
    idle: () => underWay === 0,
    close: () => provider.close(),
  };
}
