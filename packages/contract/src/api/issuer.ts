import { z } from 'zod';
import { hasNoUser } from '../shared/address.ts';
import { Timestamp } from '../shared/timestamp.ts';
import { ChallengeType } from './challenge.ts';
import { DnsProvider, StoredDnsProvider } from './dns-provider.ts';

/** Issuer names go into addresses, keys and log lines as they are. */
export const IssuerName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    'an issuer’s name has 1 to 63 small letters, digits and hyphens, and starts with a letter or digit',
  );

export const KeyType = z.enum(['ecdsa-p256', 'ecdsa-p384', 'rsa-2048']).meta({ id: 'KeyType' });
export type KeyType = z.infer<typeof KeyType>;

/** A token bucket: at most `count` at once, and one more every `refillSeconds`. */
export const Limit = z.strictObject({ count: z.int().positive(), refillSeconds: z.number().positive() });
export type Limit = z.infer<typeof Limit>;

/** The limits of a CA; one that is left out or null is not kept. */
export const Limits = z
  .strictObject({
    newOrders: Limit.nullable().optional().describe('Orders of the account'),
    certificatesPerDomain: Limit.nullable().optional().describe('Certificates for each registered domain'),
    sameNames: Limit.nullable().optional().describe('Certificates for the same set of names'),
    failedAuthorizations: Limit.nullable().optional().describe('Failed authorizations of each name'),
    consecutiveFailures: Limit.nullable()
      .optional()
      .describe('Failures of each name in a row; a success fills it up'),
  })
  .meta({ id: 'Limits' });
export type Limits = z.infer<typeof Limits>;
export type LimitName = keyof Limits;

const pem = z
  .string()
  .max(200_000)
  .regex(/-----BEGIN CERTIFICATE-----/, 'is not a PEM certificate');
const common = {
  keyType: KeyType.default('ecdsa-p256').describe('Of the certificates’ keys'),
};
const acmeCommon = {
  ...common,
  profile: z.string().min(1).max(100).optional().describe('A profile that the CA’s directory lists'),
  preferredChain: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('Of several chains, the one whose last issuer has this in its name'),
  challenges: z.array(ChallengeType).min(1).optional().describe('Types of challenges to use, in this order'),
  dnsProvider: DnsProvider.optional().describe('For dns-01; without one, that of the settings'),
  caaIdentities: z
    .array(z.string())
    .optional()
    .describe('What CAA records call the CA; left out: what its directory says'),
  limits: Limits.optional(),
};

/** The body of `PUT /v1/issuers/{name}`. Secrets are stored sealed and never shown; one that is left out stays as it was. */
export const PutIssuer = z
  .discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('acme').describe('May be left out where there is a `directory`'),
      directory: z
        .url({ protocol: /^https$/, error: 'is not an https address of an ACME directory' })
        .refine(hasNoUser, 'carries a user or password, which would be shown'),
      email: z.email().optional(),
      eab: z
        .strictObject({
          kid: z.string().min(1).max(500),
          hmacKey: z
            .string()
            .regex(/^[\w-]+=*$/, 'is not base64url')
            .optional(),
        })
        .optional()
        .describe('External account binding (RFC 8555, section 7.3.4)'),
      roots: pem
        .optional()
        .describe('PEM roots that the directory’s own certificate leads to, besides the public ones'),
      ...acmeCommon,
    }),
    z.strictObject({
      type: z.literal('zerossl'),
      email: z.email().optional().describe('The account’s; without an API key, the binding is fetched by it'),
      apiKey: z.string().min(1).max(500).optional(),
      ...acmeCommon,
    }),
    z.strictObject({
      type: z.literal('internal'),
      lifetimeHours: z.int().min(1).max(87_600).default(2_160),
      ...common,
    }),
  ])
  .meta({
    id: 'PutIssuer',
    examples: [
      { directory: 'https://acme-v02.api.letsencrypt.org/directory', email: 'ops@example.net' },
      { type: 'zerossl', apiKey: '…' },
    ],
  });
export type PutIssuer = z.infer<typeof PutIssuer>;

export const Issuer = z
  .object({
    name: z.string(),
    type: z.enum(['acme', 'zerossl', 'internal']),
    source: z.enum(['api', 'environment', 'built-in']),
    directory: z.string().nullable(),
    email: z.string().nullable(),
    eab: z.object({ kid: z.string() }).nullable(),
    roots: z.string().nullable(),
    keyType: KeyType,
    profile: z.string().nullable(),
    preferredChain: z.string().nullable(),
    challenges: z.array(ChallengeType).nullable(),
    dnsProvider: StoredDnsProvider.nullable(),
    caaIdentities: z.array(z.string()).nullable(),
    limits: Limits.nullable(),
    lifetimeHours: z.int().nullable(),
    secrets: z.array(z.string()).describe('Which secrets are stored'),
    accountUrl: z.string().nullable().describe('The account at the CA, once it has been made'),
    revision: z.int().nullable(),
  })
  .meta({ id: 'Issuer' });
export type Issuer = z.infer<typeof Issuer>;

/** What is left of one limit. `key` is what it is counted by: a registered domain, say; null: the account. */
export const LimitState = z
  .object({
    limit: z.string(),
    key: z.string().nullable(),
    count: z.int(),
    refillSeconds: z.number(),
    left: z.int(),
    nextAt: Timestamp.nullable().describe('When there is one more; null while it is full'),
  })
  .meta({ id: 'LimitState' });
export type LimitState = z.infer<typeof LimitState>;

export const IssuerLimits = z
  .object({
    issuer: z.string(),
    retryAt: Timestamp.nullable().describe('Until when the CA asked to be left alone'),
    items: z.array(LimitState),
    next: z.string().nullable(),
  })
  .meta({ id: 'IssuerLimits' });
export type IssuerLimits = z.infer<typeof IssuerLimits>;

/** The answer of `POST /v1/issuers/{name}/retry`. */
export const IssuerRetry = z
  .object({
    issuer: z.string(),
    certificates: z.int().describe('How many are tried again, within the next minutes'),
  })
  .meta({ id: 'IssuerRetry' });
export type IssuerRetry = z.infer<typeof IssuerRetry>;
