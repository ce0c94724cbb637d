import {
  AppError,
  eventId,
  parseEventId,
  type StoredEvent,
  type StoredRecord,
  type Webhook,
  type WebhookRecord,
  type WebhookStateRecord,
} from '@lockstep/contract';
import type { Change, ConfigStore } from '@lockstep/store';
import type { EventFilter } from '../events/event-filter.ts';
import type { EventHistory } from '../events/event-history.ts';

/** Of what waits, so many subjects are shown. */
const mostShown = 20;

export interface FoundWebhook {
  webhook: StoredRecord<'webhook'>;
  state: StoredRecord<'webhook-state'>;
}

/** Throws `not_found`. */
export async function findWebhook(store: Pick<ConfigStore, 'get'>, id: string): Promise<FoundWebhook> {
  const [webhook, state] = await Promise.all([store.get('webhook', id), store.get('webhook-state', id)]);
  if (webhook === null || state === null) throw webhookNotFound(id);
  return { webhook, state };
}

export function webhookNotFound(id: string): AppError {
  return new AppError('not_found', `there is no webhook "${id}"`, { facts: { webhook: id } });
}

/** What the webhooks of a tenant are found by; an empty tenant: of those that are nobody's. */
export const claimPrefix = (tenant: string) => `tenant ${tenant} webhook `;

/** The one way to write a webhook. */
export function putWebhook(id: string, value: WebhookRecord): Change {
  return { op: 'put', kind: 'webhook', id, value, claims: [claimPrefix(value.tenant ?? '') + id] };
}

/** The one way to write how far it is: due when something of it is. */
export function putState(id: string, value: WebhookStateRecord): Change {
  const dueAt = value.dueAt === null ? null : Date.parse(value.dueAt);
  return { op: 'put', kind: 'webhook-state', id, value, dueAt };
}

/** What is for it. */
export function filterOf({ types, routes, tenant }: WebhookRecord): EventFilter {
  return { types: types ?? undefined, routes: routes ?? undefined, tenant: tenant ?? undefined };
}

export function presentWebhook({ webhook: { id, revision, value }, state }: FoundWebhook): Webhook {
  const { sealedSecrets: _, ...shown } = value;
  const { after, failingSince, takenAt, dueAt, gapAt, subjects } = state.value;
  const waiting = subjects.filter(({ attempts }) => attempts > 0);
  waiting.sort((one, other) => ((one.failingSince ?? '') < (other.failingSince ?? '') ? -1 : 1));
  return {
    id,
    ...shown,
    enabled: value.disabled === null,
    status: {
      after,
      failingSince,
      takenAt,
      nextAttemptAt: dueAt,
      waitingSubjects: waiting.length,
      waiting: waiting.slice(0, mostShown).map(({ subject, events: [event = ''], ...one }) => ({
        subject: parseSubject(subject),
        event,
        attempts: one.attempts,
        failingSince: one.failingSince,
        nextAttemptAt: one.dueAt,
      })),
      gapAt,
    },
    revision,
  };
}

/** An event of the history; null: it is not, or no longer, kept. */
export async function findEvent(
  history: Pick<EventHistory, 'readKept'>,
  id: string,
): Promise<StoredEvent | null> {
  const { number, index } = parseEventId(id) ?? { number: 0, index: 0 };
  const before = index > 0 ? eventId('-', number, index - 1) : eventId('-', Math.max(0, number - 1), 9_999);
  const [event] = (await history.readKept({ after: before, limit: 1 })).items;
  return event?.id === id ? event : null;
}

function parseSubject(text: string): StoredEvent['subject'] {
  const at = text.indexOf('/');
  return { kind: text.slice(0, at) as StoredEvent['subject']['kind'], id: text.slice(at + 1) };
}
