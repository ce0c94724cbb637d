import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { Host } from './hosts.ts';

const certificateBlock = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** PEM of those who may vouch for somebody. */
export const Authorities = z
  .string()
  .max(262_144)
  .transform((input, context) => {
    const fault = faultOf(input);
    if (fault === null) return `${input.match(certificateBlock)!.join('\n')}\n`;
    context.addIssue({ code: 'custom', message: fault });
    return z.NEVER;
  });

const ServerName = Host.refine((name) => !name.startsWith('*.'), 'is a name for many; one is asked for');

export const UpstreamTls = z
  .strictObject({
    ca: Authorities.optional().describe(
      'PEM certificates of those who may vouch for it, in place of the authorities that the machine trusts',
    ),
    serverName: ServerName.optional().describe(
      'The name that is asked for and proven; left out: that of `url`',
    ),
    clientCertificate: z
      .string()
      .regex(/^[A-Za-z0-9*][A-Za-z0-9*._-]{0,255}$/, 'is the id of a certificate')
      .optional()
      .describe(
        'The id of the certificate that the edge shows: bring it with `POST /v1/certificates`, which keeps its key sealed',
      ),
    verify: z
      .boolean()
      .optional()
      .describe(
        '`false`: whoever answers is believed. For tests: nothing is secret from who stands in between',
      ),
  })
  .refine(({ ca, verify }) => ca === undefined || verify !== false, {
    error: 'has no use with verify: false, which believes anybody; leave one of the two out',
    path: ['ca'],
  })
  .meta({ id: 'UpstreamTls' });

function faultOf(pem: string): string | null {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem))
    return 'holds a private key; an authority is told by its certificates alone, so take the key out and replace it wherever else it was sent';
  const blocks = pem.match(certificateBlock);
  if (blocks === null) return 'holds no PEM certificate (-----BEGIN CERTIFICATE-----)';
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      return `holds a certificate that cannot be read, number ${index + 1}`;
    }
  }
  return null;
}
