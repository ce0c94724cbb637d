import type { EventBounds, StoredEvent } from '@lockstep/contract';
import type { EventPage } from '../interface/config-store.ts';

/** An event as backends keep it. `previous` is the id of the one before it in the history, '' for the first of all. */
export interface KeptEvent {
  id: string;
  at: number;
  previous: string;
  json: string;
}

export interface KeptPage {
  /** In their order, the first after `after` first; at most `limit`. */
  kept: readonly KeptEvent[];
  /** The latest of all, as it was before `kept` were read; '' for none. */
  last: string;
  after: string | null;
  limit: number;
  now: number;
  bounds: EventBounds;
}

/** Each event names the one before it, so that what is gone between two is noticed, however it went. */
export function toEventPage({ kept, last, after, limit, now, bounds }: KeptPage): EventPage {
  const young = bounds.entries === 0 ? [] : kept.filter(({ at }) => at > now - bounds.ageMs);
  const end = kept.at(-1)?.id ?? last;
  return {
    items: young.flatMap((one) => toEvent(one) ?? []),
    gap: limit > 0 && after !== null && after !== (kept.length === 0 ? last : young[0]?.previous),
    next: end,
    more: limit > 0 && kept.length === limit,
    last,
  };
}

function toEvent({ id, at, json }: KeptEvent): StoredEvent | null {
  try {
    const { type, subject, tenant, data } = JSON.parse(json);
    if (typeof type !== 'string' || Object(subject) !== subject || Object(data) !== data) return null;
    return { id, at, type, subject, ...(typeof tenant === 'string' ? { tenant } : {}), data } as StoredEvent;
  } catch {
    return null;
  }
}
