import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Goes into log lines, and into problem documents as a URI reference (RFC 9457, section 3.1.5). */
const usable = /^[A-Za-z0-9._~+=@-]{1,128}$/;

/** The X-Request-Id that the caller gave, where it can be used as it is; else a new id. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && usable.test(given) ? given : randomUUID();
}
