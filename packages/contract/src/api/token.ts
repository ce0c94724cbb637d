import { z } from 'zod';
import { scopes } from '../shared/scopes.ts';
import { Tenant } from './labels.ts';
import { OwnershipPolicy } from './ownership.ts';
import { Host } from './route/hosts.ts';

export const TokenId = z.string().regex(/^[a-z0-9]{1,64}$/, 'an id of a token has letters and digits only');

const Scope = z.enum(scopes).meta({ id: 'Scope' });

/** A name that a host may be, or be below: `example.com` also covers `shop.example.com` and `*.example.com`. */
const HostSuffix = z
  .string()
  .transform((suffix) => suffix.replace(/^(\*?\.)/, ''))
  .pipe(Host);

export const TokenRateLimit = z
  .strictObject({
    requests: z.int().min(1).max(1_000_000).describe('So many in `perMs`'),
    perMs: z.int().min(1_000).max(86_400_000),
  })
  .meta({ id: 'TokenRateLimit' });

const tokenName = z
  .string()
  .regex(/^[!-~](?:[ -~]{0,98}[!-~])?$/, 'a name has 1 to 100 printable ASCII characters')
  .refine((name) => name !== 'admin', 'admin is the name of the token of the environment');

const described = {
  name: tokenName.describe('What people know it by; the audit names whoever changes something by it'),
  scopes: z
    .array(Scope)
    .min(1)
    .max(scopes.length)
    .transform((all) => [...new Set(all)])
    .describe('What it may do; `…:write` is `…:read` too, `…:*` is both, `admin` is everything'),
  tenant: Tenant.nullish().describe(
    'It sees and makes what belongs to this tenant only; left out: what belongs to anybody',
  ),
  hostSuffixes: z
    .array(HostSuffix)
    .min(1)
    .max(100)
    .transform((all) => [...new Set(all)])
    .nullish()
    .describe('Its routes and certificates may be for these names and those below them only'),
  ownership: OwnershipPolicy.nullish().describe(
    'What has to be proven before a host that it names is served, whatever the settings say; left out: what they say',
  ),
  rateLimit: TokenRateLimit.nullish().describe(
    'How often it may call each control plane; left out: 6,000 times a minute',
  ),
  expiresAt: z.iso
    .datetime({ offset: true })
    .nullish()
    .describe('From then on it is refused; left out: never'),
};

export const PostToken = z.strictObject(described).meta({
  id: 'PostToken',
  examples: [
    { name: 'shop backend', scopes: ['routes:write', 'certificates:read'] },
    {
      name: 'harbour-cafe',
      scopes: ['routes:*', 'certificates:*'],
      tenant: 'harbour-cafe',
      hostSuffixes: ['harbour-cafe.example'],
      expiresAt: '2027-11-26T00:00:00Z',
    },
  ],
});
export type PostToken = z.infer<typeof PostToken>;

const shown = {
  id: TokenId,
  name: z.string(),
  scopes: z.array(Scope),
  tenant: z.string().nullable(),
  hostSuffixes: z.array(z.string()).nullable(),
  ownership: OwnershipPolicy.nullable().describe('Null: as the settings say'),
  rateLimit: TokenRateLimit.nullable(),
  expiresAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
  lastUsedAt: z.iso.datetime().nullable().describe('Within a minute or so; null: not yet'),
  revision: z.int(),
};

export const Token = z.object(shown).meta({ id: 'Token' });
export type Token = z.infer<typeof Token>;

export const NewToken = z
  .object({ ...shown, token: z.string().describe('The token itself, shown this once') })
  .meta({ id: 'NewToken' });
export type NewToken = z.infer<typeof NewToken>;
