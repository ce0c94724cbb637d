import { z } from 'zod';
import { hasNoUser } from '../shared/address.ts';

const httpUrl = z
  .url({ protocol: /^https?$/, error: 'is not an http or https address' })
  .refine(hasNoUser, 'carries a user or password, which would be shown');
const serverAddress = z
  .string()
  .regex(
    /^(\[[0-9a-fA-F:.]+\]|[^\s:]+)(:\d{1,5})?$/,
    'looks like 192.0.2.53, [2001:db8::53] or 127.0.0.1:5353',
  )
  .refine((address) => Number(/\]?:(\d+)$/.exec(address)?.[1] ?? 53) <= 65_535, 'has a port above 65535');

const webhook = z.strictObject({
  type: z.literal('webhook'),
  url: httpUrl.describe(
    'Gets a POST of {"action": "present" | "remove", "host", "name", "value"}; 2xx: done',
  ),
  secret: z.string().min(1).optional().describe('Sent as a bearer token'),
});
const acmeDns = z.strictObject({
  type: z.literal('acme-dns'),
  url: httpUrl,
  username: z.string().min(1),
  password: z.string().min(1).optional(),
  subdomain: z.string().min(1),
});
const cloudflare = z.strictObject({
  type: z.literal('cloudflare'),
  token: z.string().min(1).optional().describe('An API token that may edit the DNS of the zone'),
  zoneId: z.string().min(1).optional().describe('Found by name when left out'),
  url: httpUrl.default('https://api.cloudflare.com/client/v4'),
});
const rfc2136 = z.strictObject({
  type: z.literal('rfc2136'),
  server: serverAddress.describe('The primary server, with a port if it is not 53'),
  zone: z.string().min(1).optional().describe('Found by SOA when left out'),
  keyName: z.string().min(1),
  algorithm: z.enum(['hmac-sha256', 'hmac-sha384', 'hmac-sha512']).default('hmac-sha256'),
  secret: z.base64().optional().describe('The TSIG key (RFC 8945), base64'),
});

/** Makes and removes TXT records for dns-01. Secrets (`secret`, `password`, `token`) are stored sealed and never shown. */
export const DnsProvider = z
  .discriminatedUnion('type', [webhook, acmeDns, cloudflare, rfc2136])
  .meta({ id: 'DnsProvider', examples: [{ type: 'cloudflare', token: '…' }] });
export type DnsProvider = z.infer<typeof DnsProvider>;

/** The provider as stored and shown: without its secret. */
export const StoredDnsProvider = z
  .discriminatedUnion('type', [
    webhook.omit({ secret: true }),
    acmeDns.omit({ password: true }),
    cloudflare.omit({ token: true }),
    rfc2136.omit({ secret: true }),
  ])
  .meta({ id: 'StoredDnsProvider', description: 'A DNS provider without its secret' });

export const DnsServer = serverAddress;
