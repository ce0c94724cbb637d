import type { DnsProvider } from '@lockstep/contract';
import type { Logger } from 'pino';
import { DnsFailure } from '../dns-failure.ts';
import type { DnsLookup } from '../dns-lookup.ts';
import { acmeDns } from './acme-dns.ts';
import { cloudflare } from './cloudflare.ts';
import type {
  DnsProviderActions,
  DnsProviderClient,
  DnsProviderContext,
  TxtRecord,
} from './dns-provider-client.ts';
import { DnsProviderError } from './dns-provider-error.ts';
import { rfc2136 } from './rfc2136.ts';
import { webhook } from './webhook.ts';

export interface DnsProviderOptions {
  lookup: DnsLookup;
  fetch?: typeof globalThis.fetch;
  log?: Logger;
  timeoutMs?: number;
}

type CreateProvider<Config = DnsProvider> = (
  config: Config,
  context: DnsProviderContext,
) => DnsProviderActions;

/** By the type that a configuration names. */
const providers: { [Type in DnsProvider['type']]: CreateProvider<DnsProvider & { type: Type }> } = {
  webhook,
  'acme-dns': acmeDns,
  cloudflare,
  rfc2136,
};

/** `config` comes with its secret opened; without it, using the provider rejects. */
export function createDnsProvider(
  config: DnsProvider,
  { lookup, fetch = globalThis.fetch, log, timeoutMs = 10_000 }: DnsProviderOptions,
): DnsProviderClient {
  const closing = new AbortController();
  const create = providers[config.type] as CreateProvider;
  const actions = create(config, {
    lookup,
    fetch,
    timeoutMs,
    signal: closing.signal,
    ...(log && { log }),
  });

  async function perform(action: 'present' | 'remove', record: TxtRecord): Promise<void> {
    try {
      await actions[action](record);
      log?.debug({ provider: config.type, action, host: record.host, name: record.name }, 'TXT record');
    } catch (error) {
      if (error instanceof DnsProviderError) throw error;
      const passing = error instanceof DnsFailure;
      const reason = passing ? error.message : 'unexpected failure';
      throw new DnsProviderError(`DNS provider ${config.type}: ${reason}`, { cause: error, passing });
    }
  }

  return {
    present: (record) => perform('present', record),
    remove: (record) => perform('remove', record),
    close: () => closing.abort(),
  };
}
