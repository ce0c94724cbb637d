import { z } from 'zod';
import { type EventType, eventTypes } from '../shared/event-types.ts';
import { Timestamp } from '../shared/timestamp.ts';
import { Tenant } from './labels.ts';
import { RouteHost } from './route/hosts.ts';
import { RouteId } from './route.ts';

export const EventId = z
  .string()
  .regex(/^\d{15}-\d{4}-[\w-]{1,8}$/, 'is no id of an event, such as 000000000000042-0000-6f1d2c3b');

/** Where to go on: behind an event, or `beginning`. */
export const EventPlace = z.union([z.literal('beginning'), EventId]);

const families = [...new Set(eventTypes.map((type) => `${type.split('.')[0]}.*`))];

/** One type, or all of a family (`route.*`). */
export const EventTypePattern = z.enum([...eventTypes, ...families] as [EventType, ...string[]]);

const patterns = z
  .union([z.string(), z.array(z.string())])
  .transform((given) => [given].flat().flatMap((one) => one.split(',')))
  .pipe(z.array(EventTypePattern).min(1).max(50));

export const EventsQuery = z.strictObject({
  since: EventPlace.optional().describe(
    'What comes after this event; `beginning`: the oldest that is kept. Left out, a stream begins now, and a list at the oldest',
  ),
  type: patterns
    .optional()
    .describe('Only those types: comma-separated, or given more than once; `route.*` is all of routes'),
  route: RouteId.optional().describe('Only what concerns this route, its certificates too'),
  host: RouteHost.optional().describe('Only what concerns this host, also by the wildcard that covers it'),
  tenant: Tenant.optional().describe('Only what is this tenant’s'),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe('A list of so many, not a stream; without it `Accept: application/json` asks for one of 100'),
});
export type EventsQuery = z.infer<typeof EventsQuery>;

export const ShownSubject = z.object({
  kind: z.enum(['route', 'certificate', 'node', 'fleet', 'issuer', 'limit', 'webhook']),
  id: z.string(),
});

export const Event = z
  .object({
    id: z.string().describe('Orders as text; `since` and `Last-Event-ID` go on behind it'),
    type: z.enum(eventTypes),
    occurredAt: Timestamp,
    subject: ShownSubject,
    tenant: z.string().optional(),
    data: z
      .record(z.string(), z.unknown())
      .describe('By its type; `hosts` and `routes` are those that it concerns'),
  })
  .meta({ id: 'Event' });
export type Event = z.infer<typeof Event>;

export const EventPage = z
  .object({
    items: z.array(Event),
    next: z.string().nullable().describe('The `since` of the next page; null: there is no more for now'),
    last: z.string().describe('The `since` to go on with when there is more again'),
  })
  .meta({ id: 'EventPage' });
