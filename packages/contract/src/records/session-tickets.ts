import { isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';

/** The one record of its kind. */
export const sessionTicketsId = 'fleet';

/** Name, HMAC key and cipher key, 16 bytes each. */
export const ticketKeyBytes = 48;
/** The newest makes tickets, all open them. */
export const mostTicketKeys = 3;

/** The keys of TLS session tickets (RFC 5077, RFC 8446 section 4.6.1), the same at every edge: a session resumes at any of them. */
export interface SessionTicketsRecord {
  /** `ticketKeyBytes` for each key, as base64, the newest first; sealed. */
  sealedKeys: string;
  madeAt: string;
  /** When the next key is made. */
  dueAt: string;
}

export const sessionTickets = recordKind<SessionTicketsRecord>()({
  kind: 'session-tickets',
  audience: 'edge',
  version: 1,
  secret: { sealedKeys: 'edge' },
  journal: () => false,
  fault: ({ sealedKeys }) => (isText(sealedKeys) ? null : 'has no keys'),
});
