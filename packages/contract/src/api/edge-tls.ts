import { z } from 'zod';

/** What the edges' https port speaks. */
export const EdgeTls = z
  .strictObject({
    minVersion: z
      .enum(['1.2', '1.3', 'TLSv1.2', 'TLSv1.3'], { error: 'is neither 1.2 nor 1.3' })
      .optional()
      .describe('The oldest version of TLS; left out: that of the profile'),
    profile: z
      .enum(['modern', 'intermediate'])
      .default('intermediate')
      .describe(
        '`modern`: TLS 1.3 alone; `intermediate`: 1.2 too, with AEAD suites that have forward secrecy',
      ),
    noSniCertificate: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe('The id of a certificate for clients that name no host; without one they are refused'),
  })
  .refine(({ minVersion, profile }) => profile !== 'modern' || !minVersion?.endsWith('1.2'), {
    path: ['minVersion'],
    error: 'the profile "modern" has TLS 1.3 alone; leave minVersion out, or take the profile "intermediate"',
  })
  .meta({ id: 'EdgeTls' });
export type EdgeTls = z.infer<typeof EdgeTls>;
