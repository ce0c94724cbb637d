import { z } from 'zod';
import { DnsProvider, DnsServer, StoredDnsProvider } from './dns-provider.ts';
import { IssuerName } from './issuer.ts';
import { Upstream } from './upstream.ts';

const addressOrName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z0-9.:-]+$/, 'is neither an IP address nor a host name');

/** Certificates for names that no route names, asked for by handshakes. */
export const OnDemand = z
  .strictObject({
    ask: z
      .url({ protocol: /^https?$/, error: 'is not an http or https address' })
      .describe('Gets a GET with `domain=`; 2xx: yes. Redirects are not followed; no answer within 5 s: no'),
    upstreams: z
      .array(Upstream)
      .max(50)
      .default([])
      .describe('Where requests for such names go; without any, they are answered 404'),
    holdMs: z.int().min(0).max(25_000).default(10_000).describe('How long a handshake is held, at most'),
    refusedForSeconds: z.int().min(1).max(86_400).default(300).describe('How long a refusal is remembered'),
    perClientPerMinute: z
      .int()
      .min(1)
      .max(100_000)
      .default(10)
      .describe('New names that one client address may ask for'),
    totalPerMinute: z.int().min(1).max(1_000_000).default(100).describe('New names in all'),
  })
  .meta({ id: 'OnDemand' });
export type OnDemand = z.infer<typeof OnDemand>;

/** As it is shown. What is normalised on its way in, as the addresses of upstreams are, is plain text on its way out. */
export const StoredOnDemand = OnDemand.extend({ upstreams: z.array(z.object({ url: z.string() })) }).meta({
  id: 'StoredOnDemand',
});

/** The body of `PUT /v1/settings`: what is left out goes back to its default. */
export const PutSettings = z
  .strictObject({
    issuers: z
      .array(IssuerName)
      .min(1)
      .max(10)
      .optional()
      .describe('The chain for routes that name none: the first that can issues'),
    edgeAddresses: z
      .array(addressOrName)
      .max(100)
      .default([])
      .describe(
        'Where names have to lead before a CA is asked: IP addresses, or names for CNAME; empty: not checked',
      ),
    resolvers: z.array(DnsServer).max(10).default([]).describe('DNS servers to ask; empty: the system’s'),
    authoritativeServers: z
      .array(DnsServer)
      .max(10)
      .default([])
      .describe('Asked for TXT records of dns-01 instead of the servers that the NS records name'),
    dnsProvider: DnsProvider.optional().describe('For dns-01, where the issuer names none'),
    onDemand: OnDemand.nullable().default(null),
  })
  .meta({ id: 'PutSettings' });
export type PutSettings = z.infer<typeof PutSettings>;

/** The body of `PATCH /v1/settings`, before it is merged: what comes of it has to be a `PutSettings`. */
export const PatchSettings = z.record(z.string(), z.unknown()).meta({
  id: 'PatchSettings',
  description:
    'A merge patch (RFC 7396) of the fields of PutSettings: what is left out stays, null goes back to the default',
});
export type PatchSettings = z.infer<typeof PatchSettings>;

/** The settings as the store keeps them, and edges receive them: the provider's secret sealed with `settings/settings`. */
export interface SettingsRecord {
  config: PutSettings;
  sealedSecrets: string | null;
  updatedAt: string;
}

export const settingsId = 'settings';

export const Settings = z
  .object({
    issuers: z.array(z.string()),
    edgeAddresses: z.array(z.string()),
    resolvers: z.array(z.string()),
    authoritativeServers: z.array(z.string()),
    dnsProvider: StoredDnsProvider.nullable(),
    onDemand: StoredOnDemand.nullable(),
    revision: z.int().nullable(),
  })
  .meta({ id: 'Settings' });
export type Settings = z.infer<typeof Settings>;
