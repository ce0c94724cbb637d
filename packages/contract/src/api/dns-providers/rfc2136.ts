import { z } from 'zod';
import { serverAddress } from '../dns-server.ts';
import type { ProviderFacts } from './provider-facts.ts';

/** Dynamic updates to a name server. */
export const rfc2136 = {
  secret: 'secret',
  owner: ['keyName'],
  why: 'the TSIG key, as base64',
  schema: z.strictObject({
    type: z.literal('rfc2136'),
    server: serverAddress.describe('The primary server, with a port if it is not 53'),
    zone: z.string().min(1).optional().describe('Found by SOA when left out'),
    keyName: z.string().min(1),
    algorithm: z.enum(['hmac-sha256', 'hmac-sha384', 'hmac-sha512']).default('hmac-sha256'),
    secret: z.base64().optional().describe('The TSIG key (RFC 8945), base64'),
  }),
} as const satisfies ProviderFacts & { schema: z.ZodObject };
