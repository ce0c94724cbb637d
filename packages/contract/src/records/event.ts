import type { EventType } from '../shared/event-types.ts';
import type { Fields } from '../shared/fields.ts';

export interface EventSubject {
  kind: 'route' | 'certificate' | 'node' | 'fleet' | 'issuer' | 'limit' | 'webhook';
  id: string;
}

/** Something that happened, as whoever commits it tells it. Nothing of it is secret: everybody who may read events gets it as it is. */
export interface EventDraft {
  type: EventType;
  subject: EventSubject;
  /** Whose it is, where one tenant alone has it. */
  tenant?: string | undefined;
  /** `hosts` and `routes` are what it is found by. */
  data: Fields & { hosts?: string[]; routes?: string[] };
}

/** An event of the history. Its id is the number of its commit, its place in it, and the beginning of the epoch: it orders as text. */
export interface StoredEvent extends EventDraft {
  id: string;
  /** By the store's clock, in milliseconds since 1970. */
  at: number;
}

/** How long the history of events keeps one, and how many. */
export interface EventBounds {
  ageMs: number;
  entries: number;
}

export const defaultEventBounds: EventBounds = { ageMs: 7 * 86_400_000, entries: 100_000 };

/** The id of event `index` of a commit. The history goes on in a new epoch under greater numbers, so that no id comes twice. */
export function eventId(epoch: string, number: number, index: number): string {
  return `${String(number).padStart(15, '0')}-${String(index).padStart(4, '0')}-${epoch.slice(0, 8)}`;
}

/** Where an id stands in the history; null for what is none. */
export function parseEventId(id: string): { number: number; index: number } | null {
  const [, number, index] = /^(\d{15})-(\d{4})-[\w-]{1,8}$/.exec(id) ?? [];
  return number === undefined ? null : { number: Number(number), index: Number(index) };
}
