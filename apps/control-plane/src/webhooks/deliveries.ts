import type { StoredEvent, StoredRecord, WebhookDelivery } from '@lockstep/contract';
import type { Change, ConfigStore } from '@lockstep/store';
import { iso } from '../time/iso.ts';
import type { Answer } from './deliver.ts';

/** Places of tries, which are used in turn; of events that were given up, so that no flood of tries takes those away; and of what callers ask for. */
export const places = { tries: 200, givenUp: 200, asked: 20 } as const;
type Places = keyof typeof places;

const letters = { tries: 't', givenUp: 'g', asked: 'a' } as const satisfies Record<Places, string>;

/** An event, or a message to try a webhook. */
export type Sent = Pick<StoredEvent, 'id' | 'subject'> & { type: string };

export function deliveryOf(
  { id, type, subject }: Sent,
  answer: Answer,
  attempt: number,
  at: number,
): Omit<WebhookDelivery, 'id'> {
  const { ok, status, detail, durationMs } = answer;
  const outcome = ok ? 'taken' : status === null ? 'unanswered' : 'refused';
  return { event: id, type, subject, at: iso(at), ok, outcome, status, detail, attempt, durationMs };
}

/** Writes what became of a try where the oldest of its sort is. */
export function putDelivery(
  webhook: string,
  sort: Places,
  number: number,
  delivery: Omit<WebhookDelivery, 'id'>,
): Extract<Change, { op: 'put'; kind: 'webhook-delivery' }> {
  const place = idOf(webhook, sort, number % places[sort]);
  const id = `${String(Date.parse(delivery.at)).padStart(15, '0')}-${place.slice(-4)}`;
  return { op: 'put', kind: 'webhook-delivery', id: place, value: { ...delivery, id } };
}

function idOf(webhook: string, sort: Places, place: number): string {
  return `${webhook}/${letters[sort]}${String(place).padStart(3, '0')}`;
}

/** All that are kept of a webhook, or those of one sort, in no order. */
export async function readDeliveries(
  store: Pick<ConfigStore, 'list'>,
  webhook: string,
  sort?: Places,
): Promise<StoredRecord<'webhook-delivery'>[]> {
  const prefix = `${webhook}/${sort === undefined ? '' : letters[sort]}`;
  const { items } = await store.list('webhook-delivery', { limit: 500, cursor: prefix });
  return items.filter(({ id }) => id.startsWith(prefix));
}

/** Deletes all of a webhook that there may be by then. */
export function deleteDeliveries(
  webhook: string,
  kept: readonly StoredRecord<'webhook-delivery'>[],
): Change[] {
  const ids = new Set(kept.map(({ id }) => id));
  for (let place = 0; place < places.asked; place += 1) ids.add(idOf(webhook, 'asked', place));
  return [...ids].map((id) => ({ op: 'delete', kind: 'webhook-delivery', id }));
}

/** The place of what callers ask for that is free, or the oldest of them. */
export function placeOfAsked(kept: readonly StoredRecord<'webhook-delivery'>[]): number {
  const asked = kept.filter(({ id }) => id.includes(`/${letters.asked}`));
  if (asked.length === 0) return 0;
  const used = new Set(asked.map(({ id }) => Number(id.slice(-3))));
  for (let place = 0; place < places.asked; place += 1) if (!used.has(place)) return place;
  const oldest = asked.reduce((one, other) => (other.value.id < one.value.id ? other : one));
  return Number(oldest.id.slice(-3));
}
