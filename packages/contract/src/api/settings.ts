import { z } from 'zod';
import { DnsProvider, StoredDnsProvider } from './dns-provider.ts';
import { serverAddress } from './dns-server.ts';
import { EdgeSettings, StoredEdgeSettings } from './edge-settings.ts';
import { IssuerName } from './issuer.ts';
import { OwnershipPolicy } from './ownership.ts';
import { PlainUpstream } from './upstream.ts';

const addressOrName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z0-9.:-]+(?:\/\d{1,3})?$/, 'is neither an IP address, nor a range of them, nor a host name');

/** Certificates for names that no route names, asked for by handshakes. */
export const OnDemand = z
  .strictObject({
    ask: z
      .url({ protocol: /^https?$/, error: 'is not an http or https address' })
      .describe('Gets a GET with `domain=`; 2xx: yes. Redirects are not followed; no answer within 5 s: no'),
    upstreams: z
      .array(PlainUpstream)
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

/** When a commit is answered: after so many replicas of Redis have it, or after `timeoutMs` all the same. */
export const Durability = z
  .strictObject({
    replicas: z
      .int()
      .min(0)
      .max(10)
      .default(0)
      .describe('Replicas that have to have a commit before it is answered'),
    timeoutMs: z
      .int()
      .min(10)
      .max(60_000)
      .default(1_000)
      .describe('How long they are waited for; then an error'),
  })
  .meta({ id: 'Durability' });
export type Durability = z.infer<typeof Durability>;

const secondsOf = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

const seconds = z.int().min(10).max(31_536_000);

/** Seconds, or a number with a unit (`90s`, `30m`, `24h`, `7d`); kept as seconds. */
const Seconds = z
  .union([
    seconds,
    z.string().regex(/^\d{1,9}[smhd]$/, 'is neither seconds nor a time such as 90s, 30m, 24h or 7d'),
  ])
  .transform((given) =>
    typeof given === 'number'
      ? given
      : Number.parseInt(given, 10) * secondsOf[given.at(-1) as keyof typeof secondsOf],
  )
  .pipe(seconds);

/** How much is kept of who changed what. */
export const JournalSettings = z
  .strictObject({
    keepFor: Seconds.default(7_776_000).meta({
      description: 'How long an entry is kept: seconds, or a time such as `90d`, from `10s` to `365d`',
      examples: [7_776_000, '90d'],
    }),
    entries: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(10_000)
      .describe('How many are kept, at most: one for each record that a commit changed; 0: none'),
  })
  .meta({ id: 'JournalSettings' });

const StoredJournalSettings = z
  .object({ keepFor: z.int().describe('In seconds'), entries: z.int() })
  .meta({ id: 'StoredJournalSettings' });

/** How much is kept of what happened. */
export const EventSettings = z
  .strictObject({
    keepFor: Seconds.default(604_800).meta({
      description: 'How long an event is kept: seconds, or a time such as `7d`, from `10s` to `365d`',
      examples: [604_800, '7d'],
    }),
    entries: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(100_000)
      .describe('How many are kept, at most; 0: none, and nothing is told'),
  })
  .meta({ id: 'EventSettings' });

const StoredEventSettings = z
  .object({ keepFor: z.int().describe('In seconds'), entries: z.int() })
  .meta({ id: 'StoredEventSettings' });

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
        'Where names have to lead before a CA is asked: IP addresses, CIDR ranges, or names for CNAME; empty: not checked',
      ),
    ownership: OwnershipPolicy.default('off').describe(
      'What has to be proven before a host is claimed and served: nothing; a TXT record at `_lockstep.<host>`; or that, or a text that the server gives to which the host leads now',
    ),
    resolvers: z.array(serverAddress).max(10).default([]).describe('DNS servers to ask; empty: the system’s'),
    authoritativeServers: z
      .array(serverAddress)
      .max(10)
      .default([])
      .describe('Asked for TXT records of dns-01 instead of the servers that the NS records name'),
    dnsProvider: DnsProvider.optional().describe('For dns-01, where the issuer names none'),
    onDemand: OnDemand.nullable().default(null),
    edge: EdgeSettings.prefault({}),
    liveNeeds: z
      .enum(['connected', 'expected'])
      .default('connected')
      .describe('Whether a route is live when all connected edges serve it, or only when lost ones do too'),
    forgetNodesAfter: Seconds.default(86_400).meta({
      description:
        'After how long a lost edge is no longer expected: seconds, or a time such as `24h`, from `10s` to `365d`',
      examples: [86_400, '24h', '7d'],
    }),
    durability: Durability.prefault({}),
    journal: JournalSettings.prefault({}),
    events: EventSettings.prefault({}),
    webhookTargets: z
      .enum(['public', 'any'])
      .default('public')
      .describe(
        'Where webhooks may lead: https at public addresses, or http and private addresses too; never where `edge.deny` says',
      ),
    waitingShare: z
      .int()
      .min(0)
      .max(90)
      .default(20)
      .describe('Percent of each CA’s limits that are kept for hosts whose caller waits'),
  })
  .meta({
    id: 'PutSettings',
    examples: [{ issuers: ['letsencrypt', 'zerossl'], edgeAddresses: ['203.0.113.7', '2001:db8::7'] }],
  });
export type PutSettings = z.infer<typeof PutSettings>;

/** The body of `PATCH /v1/settings`, before it is merged: what comes of it has to be a `PutSettings`. */
export const PatchSettings = z.record(z.string(), z.unknown()).meta({
  id: 'PatchSettings',
  examples: [{ edgeAddresses: ['203.0.113.7'] }, { onDemand: null }],
  description:
    'A merge patch (RFC 7396) of the fields of PutSettings: what is left out stays, null goes back to the default',
});
export type PatchSettings = z.infer<typeof PatchSettings>;

export const Settings = z
  .object({
    issuers: z.array(z.string()),
    edgeAddresses: z.array(z.string()),
    ownership: OwnershipPolicy,
    resolvers: z.array(z.string()),
    authoritativeServers: z.array(z.string()),
    dnsProvider: StoredDnsProvider.nullable(),
    onDemand: StoredOnDemand.nullable(),
    edge: StoredEdgeSettings,
    liveNeeds: z.enum(['connected', 'expected']),
    forgetNodesAfter: z.int().describe('In seconds'),
    durability: Durability,
    journal: StoredJournalSettings,
    events: StoredEventSettings,
    webhookTargets: z.enum(['public', 'any']),
    waitingShare: z.int(),
    revision: z.int().nullable(),
  })
  .meta({ id: 'Settings' });
export type Settings = z.infer<typeof Settings>;
