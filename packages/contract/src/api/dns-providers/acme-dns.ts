import { z } from 'zod';
import { httpUrl } from './http-url.ts';
import type { ProviderFacts } from './provider-facts.ts';

export const acmeDns = {
  secret: 'password',
  owner: ['url', 'username'],
  why: 'the password that acme-dns gave at the registration',
  schema: z.strictObject({
    type: z.literal('acme-dns'),
    url: httpUrl,
    username: z.string().min(1),
    password: z.string().min(1).optional(),
    subdomain: z.string().min(1),
  }),
} as const satisfies ProviderFacts & { schema: z.ZodObject };
