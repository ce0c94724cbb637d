import { z } from 'zod';
import { Tenant } from './labels.ts';
import { PageQuery } from './page.ts';

const moment = z.iso.datetime({ offset: true });

export const AuditQuery = PageQuery.extend({
  cursor: z
    .string()
    .regex(/^\d{1,16}(?:-\d{1,10})?$/, 'is no cursor; take `next` of the page before')
    .optional(),
  principal: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('The name or id of a token, `admin`, or a part of the control plane, such as `coordinator`'),
  kind: z.string().min(1).max(64).optional().describe('Of the record: `route`, `certificate`, `settings`, …'),
  id: z.string().min(1).max(300).optional().describe('Of the record'),
  tenant: Tenant.optional().describe('Only changes of what belongs, or belonged, to this tenant'),
  since: moment.optional().describe('Not before this moment'),
  until: moment.optional().describe('Not after this moment'),
});
export type AuditQuery = z.infer<typeof AuditQuery>;

/** A record as it was, without what is secret or long. */
const value = z.record(z.string(), z.unknown()).nullable();

export const AuditEntry = z
  .object({
    at: z.iso.datetime().describe('By the store’s clock'),
    by: z
      .object({
        kind: z.string().describe('`token`, or the part of the control plane that did it by itself'),
        name: z
          .string()
          .nullable()
          .describe(
            'Of the token; `admin`: that of the environment. Null for another kind, and, to a tenant, for whoever is not of it',
          ),
        id: z.string().nullable().describe('Of the token; null: it has none, as the admin’s'),
      })
      .describe('Who did it'),
    requestId: z.string().nullable().describe('The request that led to it directly'),
    revision: z.int().describe('The commit; those of one moment may have one'),
    cause: z.int().nullable().describe('The revision that led to it, where it was no request'),
    kind: z.string().describe('Of the record'),
    id: z.string().describe('Of the record'),
    action: z.enum(['created', 'updated', 'deleted']),
    before: value.describe('The record before, without what is secret; null where there was none'),
    after: value.describe('The record after it; null where it was deleted'),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.infer<typeof AuditEntry>;
