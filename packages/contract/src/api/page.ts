import { z } from 'zod';
import { Tenant } from './labels.ts';

export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  cursor: z.string().max(512).optional(),
});

const tenant = Tenant.optional().describe('Only what belongs to this tenant');

export const CertificatesQuery = PageQuery.extend({
  tenant: tenant.describe('Only those that belong to this tenant, or are for a host of its routes'),
  failing: z
    .literal('true')
    .optional()
    .describe(
      'Only those that have a `lastError` or wait for the DNS, live ones too; a page may be short of them',
    ),
});

/** The shape of every list answer: `next` is the cursor of the next page, or null on the last. */
export function pageOf<T extends z.ZodType>(item: T, id: string) {
  return z.object({ items: z.array(item), next: z.string().nullable() }).meta({ id });
}

export const DeleteQuery = z.strictObject({
  missing: z.literal('ok').optional().describe('204 also where it is gone already'),
});
export type DeleteQuery = z.infer<typeof DeleteQuery>;
