import { randomBytes } from 'node:crypto';
import {
  AppError,
  type Redelivering,
  type StoredEvent,
  type WaitingSubject,
  type WebhookDeliveriesQuery,
  type WebhookDelivery,
  type WebhookRecord,
  type WebhookStateRecord,
} from '@lockstep/contract';
import type { ConfigStore, Page } from '@lockstep/store';
import { commit, retryOnConflict, type WriteOrigin } from '../changes/writes.ts';
import { isOfTypes } from '../events/event-filter.ts';
import type { EventHistory } from '../events/event-history.ts';
import { iso } from '../time/iso.ts';
import type { Deliver, Message } from './deliver.ts';
import { deliveryOf, placeOfAsked, putDelivery, readDeliveries, type Sent } from './deliveries.ts';
import { messageOf } from './message.ts';
import { asNew, earliest, newSubject, subjectOf } from './waiting-subjects.ts';
import { type FoundWebhook, findEvent, findWebhook, putState } from './webhook-record.ts';

/** What became of deliveries, and those that callers ask for. All of it throws `not_found` for an id that nothing has. */
export interface Redelivery {
  /** The latest first. */
  list(id: string, query: WebhookDeliveriesQuery): Promise<Page<WebhookDelivery>>;
  /** Sends a message of its own, once, and tells what became of it. Where it is taken, what waits is tried at once, and so for `one`. */
  test(origin: WriteOrigin, id: string, told?: Told): Promise<WebhookDelivery>;
  /** Sends an event again, once. Throws `events_gone`. */
  one(origin: WriteOrigin, id: string, event: string, told?: Told): Promise<WebhookDelivery>;
  /** Puts what was given up from then on in line again, each before what came later of its subject. */
  givenUp(origin: WriteOrigin, id: string, since: string, told?: Queued): Promise<Redelivering>;
}

/** What became of it, once that is known. */
export interface Told {
  delivery: WebhookDelivery | null;
}
export interface Queued {
  queued: number;
}

export interface RedeliveryOptions {
  store: ConfigStore;
  history: Pick<EventHistory, 'readKept'>;
  deliver: Deliver;
  /** Something is due that was not. */
  wake(): void;
  now: () => number;
}

export function createRedelivery({ store, history, deliver, wake, now }: RedeliveryOptions): Redelivery {
  async function sendOnce(
    origin: WriteOrigin,
    { webhook: { id, value } }: FoundWebhook,
    message: Message,
    event: Sent,
    told: Told,
  ): Promise<WebhookDelivery> {
    const answer = await deliver(id, value, message, new AbortController().signal);
    const delivery = deliveryOf(event, answer, 1, now());
    await retryOnConflict(async () => {
      const { webhook, state } = await findWebhook(store, id);
      const waits = answer.ok && state.value.subjects.some(({ dueAt }) => dueAt !== null);
      const kept = await readDeliveries(store, id, 'asked');
      const put = putDelivery(id, 'asked', placeOfAsked(kept), delivery);
      told.delivery = put.value;
      const replaced = kept.find((one) => one.id === put.id);
      await commit(store, {
        ...origin,
        checks: [
          { kind: 'webhook', id, revision: webhook.revision },
          { kind: 'webhook-delivery', id: put.id, revision: replaced?.revision ?? null },
          ...(waits ? [{ kind: 'webhook-state' as const, id, revision: state.revision }] : []),
        ],
        changes: [put, ...(waits ? [putState(id, dueAtOnce(webhook.value, state.value, now()))] : [])],
      });
      if (waits) wake();
    });
    return told.delivery!;
  }

  return {
    async list(id, { limit, cursor, outcome, event, type, since }) {
      await findWebhook(store, id);
      const from = since === undefined ? '' : iso(Date.parse(since));
      const found = (await readDeliveries(store, id))
        .map(({ value }) => value)
        .filter(
          (one) =>
            (cursor === undefined || one.id < cursor) &&
            (outcome === undefined || one.outcome === outcome) &&
            (event === undefined || one.event === event) &&
            (type === undefined || isOfTypes(one.type, [type])) &&
            one.at >= from,
        )
        .sort((one, other) => (one.id < other.id ? 1 : -1));
      const items = found.slice(0, limit);
      return { items, next: found.length > limit ? (items.at(-1)?.id ?? null) : null };
    },

    async test(origin, id, told = { delivery: null }) {
      const found = await findWebhook(store, id);
      const at = now();
      const timestamp = iso(at);
      const event = {
        id: `test-${randomBytes(8).toString('hex')}`,
        type: 'webhook.test',
        subject: { kind: 'webhook' as const, id },
      };
      const body = { ...event, occurredAt: timestamp, data: { webhook: id }, timestamp };
      const message = { id: event.id, at, body: JSON.stringify(body) };
      return sendOnce(origin, found, message, event, told);
    },

    async one(origin, id, wanted, told = { delivery: null }) {
      const found = await findWebhook(store, id);
      const event = await findEvent(history, wanted);
      if (event === null || !mayHave(found, event))
        throw new AppError('events_gone', `the event "${wanted}" is not, or no longer, kept`);
      return sendOnce(origin, found, messageOf(event, now()), event, told);
    },

    async givenUp(origin, id, since, told = { queued: 0 }) {
      const from = iso(Date.parse(since));
      await retryOnConflict(async () => {
        const { webhook, state } = await findWebhook(store, id);
        const kept = await readDeliveries(store, id, 'givenUp');
        const again = kept.filter(({ value }) => value.at >= from);
        told.queued = again.length;
        if (again.length === 0) return;
        const subjects = new Map(state.value.subjects.map((one) => [one.subject, one]));
        for (const { value } of again) {
          const routes = await routesOf(value);
          const subject = subjectOf({ subject: value.subject, data: { routes } });
          subjects.set(subject, withEvent(subjects.get(subject) ?? newSubject(subject), value.event));
        }
        const waiting = [...subjects.values()];
        const dueAt = webhook.value.disabled === null ? earliest(waiting, now()) : null;
        await commit(store, {
          ...origin,
          checks: [
            { kind: 'webhook', id, revision: webhook.revision },
            { kind: 'webhook-state', id, revision: state.revision },
          ],
          changes: [
            putState(id, { ...state.value, subjects: waiting, dueAt }),
            ...again.map((one) => ({ op: 'delete', kind: 'webhook-delivery', id: one.id }) as const),
          ],
        });
        wake();
      });
      return { queued: told.queued };
    },
  };

  async function routesOf({ event }: WebhookDelivery): Promise<string[]> {
    return (await findEvent(history, event))?.data.routes ?? [];
  }
}

/** The target is there: nothing waits for its date. */
function dueAtOnce({ disabled }: WebhookRecord, state: WebhookStateRecord, now: number): WebhookStateRecord {
  const subjects = state.subjects.map((one) => ({ ...one, dueAt: null, withAll: false }));
  return { ...state, subjects, dueAt: disabled === null ? iso(now) : null };
}

/** A tenant's gets nothing of another's, whoever asks for it. */
function mayHave({ webhook }: FoundWebhook, { tenant }: StoredEvent): boolean {
  return webhook.value.tenant === null || webhook.value.tenant === tenant;
}

function withEvent(one: WaitingSubject, event: string): WaitingSubject {
  return asNew(one, [...new Set([event, ...one.events])].sort());
}
