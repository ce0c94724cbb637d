import { z } from 'zod';
import { acmeDns } from './dns-providers/acme-dns.ts';
import { cloudflare } from './dns-providers/cloudflare.ts';
import type { ProviderFacts } from './dns-providers/provider-facts.ts';
import { rfc2136 } from './dns-providers/rfc2136.ts';
import { webhook } from './dns-providers/webhook.ts';

/** Makes and removes TXT records for dns-01. Secrets (`secret`, `password`, `token`) are stored sealed and never shown. */
export const DnsProvider = z
  .discriminatedUnion('type', [webhook.schema, acmeDns.schema, cloudflare.schema, rfc2136.schema])
  .meta({ id: 'DnsProvider', examples: [{ type: 'cloudflare', token: '…' }] });
export type DnsProvider = z.infer<typeof DnsProvider>;

/** The provider as stored and shown: without its secret. */
export const StoredDnsProvider = z
  .discriminatedUnion('type', [
    webhook.schema.omit({ [webhook.secret]: true }),
    acmeDns.schema.omit({ [acmeDns.secret]: true }),
    cloudflare.schema.omit({ [cloudflare.secret]: true }),
    rfc2136.schema.omit({ [rfc2136.secret]: true }),
  ])
  .meta({ id: 'StoredDnsProvider', description: 'A DNS provider without its secret' });

export const providerFacts: Record<DnsProvider['type'], ProviderFacts> = {
  webhook,
  'acme-dns': acmeDns,
  cloudflare,
  rfc2136,
};
