import { z } from 'zod';
import { httpUrl } from './http-url.ts';
import type { ProviderFacts } from './provider-facts.ts';

/** A service of the operator's own. */
export const webhook = {
  secret: 'secret',
  owner: ['url'],
  why: null,
  schema: z.strictObject({
    type: z.literal('webhook'),
    url: httpUrl.describe(
      'Gets a POST of {"action": "present" | "remove", "host", "name", "value"}; 2xx: done',
    ),
    secret: z.string().min(1).optional().describe('Sent as a bearer token'),
  }),
} as const satisfies ProviderFacts & { schema: z.ZodObject };
