import type { StoredEvent } from '@lockstep/contract';
import { presentEvent } from '../events/event-filter.ts';
import type { Message } from './deliver.ts';

/** An event as it is sent. Whoever gets it twice knows it by its id. */
export function messageOf(event: StoredEvent, now: number): Message {
  const shown = presentEvent(event);
  return { id: event.id, at: now, body: JSON.stringify({ ...shown, timestamp: shown.occurredAt }) };
}
