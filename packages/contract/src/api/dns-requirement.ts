import { z } from 'zod';
import { dnsPurposes } from './dns-purposes.ts';

/** A record that a host has to have in the DNS, and what is there. */
export const DnsRequirement = z
  .object({
    host: z.string(),
    type: z
      .enum(['A', 'AAAA', 'CNAME', 'CAA', 'TXT', 'HTTP'])
      .describe(
        '`HTTP`: no record, but what the server answers that the host leads to now; in place of the `TXT` beside it',
      ),
    name: z.string().describe('The whole name of the record; of `HTTP` the address'),
    value: z.string(),
    purpose: z
      .enum(dnsPurposes)
      .describe(
        '`traffic`: leads visitors here; `ownership`: proves whose the host is; `challenge`: lets the CA validate it; `caa`: lets the CA issue',
      ),
    found: z
      .array(z.string())
      .nullable()
      .describe('What was there at the last look; null while nobody has looked, or no answer could be had'),
    ok: z.boolean().describe('At the last look nothing had to be done about it'),
    hint: z.string().nullable().describe('What the owner of the domain can do, in a sentence'),
  })
  .meta({ id: 'DnsRequirement' });
export type DnsRequirement = z.infer<typeof DnsRequirement>;
