import type { Logger } from 'pino';
import type { DnsLookup } from '../dns-lookup.ts';

export interface TxtRecord {
  /** Of the certificate. */
  host: string;
  /** Where the record belongs: `challengeName` of the host. */
  name: string;
  value: string;
}

/**
 * Makes and removes the TXT records of dns-01. Both can be repeated, and leave other values at the same name alone: orders for
 * `example.com` and `*.example.com` share it. Rejects with DnsProviderError only, within the time-out of each step.
 */
export interface DnsProviderClient {
  /** Resolves once the provider has the record; its name servers may lag behind. */
  present(record: TxtRecord): Promise<void>;
  remove(record: TxtRecord): Promise<void>;
  /** Ends what is under way. */
  close(): void;
}

export interface DnsProviderContext {
  lookup: DnsLookup;
  fetch: typeof globalThis.fetch;
  log?: Logger;
  /** For one question to the provider. */
  timeoutMs: number;
  /** Aborts with `close`. */
  signal: AbortSignal;
}

/** What each kind of provider implements. */
export type DnsProviderActions = Pick<DnsProviderClient, 'present' | 'remove'>;
