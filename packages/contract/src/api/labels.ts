import { z } from 'zod';

const mostKeys = 50;
const longestValue = 500;

/** Whose a thing is. Goes into addresses, keys and log lines as it is. */
export const Tenant = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
    'a tenant has 1 to 128 letters, digits, dots, underscores and hyphens, and starts with a letter or digit',
  );

export const MetadataKey = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,39}$/,
    'a key has 1 to 40 letters, digits and `_.:/-`, and starts with a letter, digit or underscore',
  );

/** What callers keep beside a thing. */
export const Metadata = z
  .record(MetadataKey, z.string().max(longestValue, `a value has at most ${longestValue} characters`))
  .refine((all) => Object.keys(all).length <= mostKeys, `has more than ${mostKeys} keys`);

export const tenantField = Tenant.describe('Whose it is: one of your customers, say');
export const metadataField = Metadata.describe(
  'What you keep beside it: up to 50 keys of up to 40 characters, with texts of up to 500',
);
