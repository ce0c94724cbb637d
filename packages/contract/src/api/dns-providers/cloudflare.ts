import { z } from 'zod';
import { httpUrl } from './http-url.ts';
import type { ProviderFacts } from './provider-facts.ts';

export const cloudflare = {
  secret: 'token',
  owner: ['url'],
  why: 'an API token that may edit the DNS of the zone',
  schema: z.strictObject({
    type: z.literal('cloudflare'),
    token: z.string().min(1).optional().describe('An API token that may edit the DNS of the zone'),
    zoneId: z.string().min(1).optional().describe('Found by name when left out'),
    url: httpUrl.default('https://api.cloudflare.com/client/v4'),
  }),
} as const satisfies ProviderFacts & { schema: z.ZodObject };
