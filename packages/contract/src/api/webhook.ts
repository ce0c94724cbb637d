import { z } from 'zod';
import { Timestamp } from '../shared/timestamp.ts';
import { Event, EventId, EventTypePattern, ShownSubject } from './event.ts';
import { Tenant } from './labels.ts';
import { PageQuery } from './page.ts';
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
  tenant: Tenant.optional().describe(
    'Whose it is: it gets only what is this tenant’s, whose tokens see and change it',
  ),
};

const nullable = {
  url: fields.url,
  description: fields.description.nullable(),
  types: fields.types.nullable(),
  routes: fields.routes.nullable(),
  tenant: fields.tenant.nullable(),
  enabled: z.boolean().optional().describe('`true` goes on where it was when it was disabled'),
};

export const PostWebhook = z.strictObject(fields).meta({
  id: 'PostWebhook',
  examples: [{ url: 'https://app.example.com/hooks/lockstep', types: ['route.*', 'certificate.failed'] }],
});
export type PostWebhook = z.infer<typeof PostWebhook>;

export const PutWebhook = z.strictObject(nullable).meta({
  id: 'PutWebhook',
  description:
    'What is left out, or null, is as if it were left out of the POST; `enabled` left out changes nothing',
  examples: [{ url: 'https://app.example.com/hooks/lockstep', types: ['route.*'], enabled: true }],
});
export type PutWebhook = z.infer<typeof PutWebhook>;

export const PatchWebhook = z
  .strictObject({ ...nullable, url: fields.url.optional() })
  .meta({ id: 'PatchWebhook', description: 'null takes a filter away', examples: [{ enabled: true }] });
export type PatchWebhook = z.infer<typeof PatchWebhook>;

const WaitingWebhookSubject = z.object({
  subject: ShownSubject,
  event: z.string().describe('The one that is next'),
  attempts: z.int().describe('Of that one, that failed'),
  failingSince: Timestamp.nullable(),
  nextAttemptAt: Timestamp.nullable(),
});

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
      after: z
        .string()
        .describe('All up to this event were taken, given up, or are not for it, but for what waits'),
      failingSince: Timestamp.nullable().describe('Since when nothing was taken; null: it is well'),
      takenAt: Timestamp.nullable().describe('When it took something last'),
      nextAttemptAt: Timestamp.nullable().describe('When the first of what waits is tried again'),
      waitingSubjects: z.int().describe('How many routes, certificates, nodes… wait for another try'),
      waiting: z
        .array(WaitingWebhookSubject)
        .describe('The first 20 of them; the events of each wait, those of others are sent'),
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

/** `refused`: the target answered something else than 200 to 299; `unanswered`: it did not answer. */
const deliveryOutcomes = ['taken', 'refused', 'unanswered', 'given_up'] as const;

export const WebhookDelivery = z
  .object({
    id: z.string(),
    event: z.string(),
    type: z.string(),
    subject: ShownSubject,
    at: Timestamp,
    ok: z.boolean(),
    outcome: z
      .enum(deliveryOutcomes)
      .describe('`given_up`: it failed for three days, and is not tried again by itself'),
    status: z.int().nullable().describe('What the target answered; null: it did not'),
    detail: z.string().describe('What happened, in a sentence'),
    attempt: z.int(),
    durationMs: z.int(),
  })
  .meta({ id: 'WebhookDelivery' });
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;

export const WebhooksQuery = PageQuery.extend({
  tenant: Tenant.optional().describe('Only those of this tenant'),
});

export const WebhookDeliveriesQuery = PageQuery.extend({
  outcome: z.enum(deliveryOutcomes).optional(),
  event: EventId.optional().describe('Only those of this event'),
  type: EventTypePattern.optional().describe('Only those of events of this type; `route.*` is all of routes'),
  since: z.iso.datetime({ offset: true }).optional().describe('Only those from this time on'),
});
export type WebhookDeliveriesQuery = z.infer<typeof WebhookDeliveriesQuery>;

export const Redeliver = z
  .union([
    z.strictObject({ event: EventId.describe('It is sent at once, and once') }),
    z.strictObject({
      since: z.iso
        .datetime({ offset: true })
        .describe('Those that were given up from this time on get in line again, before what came later'),
    }),
  ])
  .meta({
    id: 'Redeliver',
    examples: [{ event: '000000000000042-0000-6f1d2c3b' }, { since: '2026-11-26T00:00:00Z' }],
  });
export type Redeliver = z.infer<typeof Redeliver>;

export const Redelivering = z
  .object({ queued: z.int().describe('How many events got in line') })
  .meta({ id: 'Redelivering' });
export type Redelivering = z.infer<typeof Redelivering>;

/** What is sent: the event, as `GET /v1/events` has it, with the time that Standard Webhooks names. */
export const WebhookMessage = Event.extend({ timestamp: Timestamp }).meta({ id: 'WebhookMessage' });
