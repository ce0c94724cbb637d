import { z } from 'zod';
import { Timestamp } from '../shared/timestamp.ts';
import { Event, EventId, EventTypePattern } from './event.ts';
import { Tenant } from './labels.ts';
import { RouteId } from './route.ts';

export const WebhookId = z.string().regex(/^wh_[a-z0-9]{20}$/, 'is no id of a webhook');

const fields = {
  url: z
    .url({ protocol: /^https?$/, error: 'is not an https address' })
    .max(2048)
    .describe(
      'Where events are sent: https, and no private address, unless `webhookTargets` of the settings allows any',
    ),
  description: z.string().max(500).optional(),
  types: z
    .array(EventTypePattern)
    .min(1)
    .max(50)
    .optional()
    .describe('Only those; `route.*` is all of routes. Left out: all'),
  routes: z.array(RouteId).min(1).max(100).optional().describe('Only what concerns one of these'),
  tenant: Tenant.optional().describe('Only what is this tenant’s'),
};

export const PostWebhook = z.strictObject(fields).meta({
  id: 'PostWebhook',
  examples: [{ url: 'https://app.example.com/hooks/lockstep', types: ['route.*', 'certificate.failed'] }],
});
export type PostWebhook = z.infer<typeof PostWebhook>;

export const PatchWebhook = z
  .strictObject({
    url: fields.url.optional(),
    description: fields.description.nullable(),
    types: fields.types.nullable(),
    routes: fields.routes.nullable(),
    tenant: fields.tenant.nullable(),
    enabled: z.boolean().optional().describe('`true` goes on where it was when it was disabled'),
  })
  .meta({ id: 'PatchWebhook', description: 'null takes a filter away', examples: [{ enabled: true }] });
export type PatchWebhook = z.infer<typeof PatchWebhook>;

export const Webhook = z
  .object({
    id: z.string(),
    url: z.string(),
    description: z.string().nullable(),
    types: z.array(z.string()).nullable(),
    routes: z.array(z.string()).nullable(),
    tenant: z.string().nullable(),
    enabled: z.boolean(),
    disabled: z.object({ at: Timestamp, reason: z.string() }).nullable(),
    status: z.object({
      after: z.string().describe('The last event that was taken, or is not for it'),
      failingSince: Timestamp.nullable(),
      attempts: z.int().describe('Of the event that is next, that failed'),
      nextAttemptAt: Timestamp.nullable(),
      gapAt: Timestamp.nullable().describe('When events were no longer kept that had not been sent'),
    }),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    revision: z.int(),
  })
  .meta({ id: 'Webhook' });
export type Webhook = z.infer<typeof Webhook>;

export const NewWebhook = Webhook.extend({
  secret: z.string().describe('What its messages are signed with (`whsec_…`), shown this once'),
}).meta({ id: 'NewWebhook' });
export type NewWebhook = z.infer<typeof NewWebhook>;

export const WebhookDelivery = z
  .object({
    event: z.string(),
    type: z.string(),
    at: Timestamp,
    ok: z.boolean(),
    status: z.int().nullable().describe('What the target answered; null: it did not'),
    detail: z.string().describe('What happened, in a sentence'),
    attempt: z.int(),
    durationMs: z.int(),
  })
  .meta({ id: 'WebhookDelivery' });
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;

export const WebhookDeliveries = z
  .object({ items: z.array(WebhookDelivery) })
  .meta({ id: 'WebhookDeliveries' });

export const Redeliver = z
  .strictObject({ event: EventId })
  .meta({ id: 'Redeliver', examples: [{ event: '000000000000042-0000-6f1d2c3b' }] });

/** What is sent: the event, as `GET /v1/events` has it, with the time that Standard Webhooks names. */
export const WebhookMessage = Event.extend({ timestamp: Timestamp }).meta({ id: 'WebhookMessage' });
