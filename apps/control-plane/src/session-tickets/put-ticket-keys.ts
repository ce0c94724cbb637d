import { type SessionTicketsRecord, sessionTicketsId } from '@lockstep/contract';
import type { Change } from '@lockstep/store';

/** How the record is written, with the date of its next key. */
export function putTicketKeys(value: SessionTicketsRecord): Change {
  return { op: 'put', kind: 'session-tickets', id: sessionTicketsId, value, dueAt: Date.parse(value.dueAt) };
}
