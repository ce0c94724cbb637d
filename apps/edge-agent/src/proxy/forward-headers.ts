import { randomUUID } from 'node:crypto';

/**
 * What never passes the edge, in either direction (RFC 9110, section 7.6.1), with `trailer` because trailers are not
 * forwarded; `expect` goes with the body.
 */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/** Set by the edge: it is the first hop that is trusted, so what a client claims is dropped. */
const setByEdge = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'x-request-id',
]);

const requestIdPattern = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

export interface ForwardedRequest {
  /** Flat pairs, as undici takes them. */
  headers: string[];
  hasBody: boolean;
  requestId: string;
}

/** The client's request id when it is a plain token, else a new one. */
export function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && requestIdPattern.test(given) ? given : randomUUID();
}

/** The headers an upstream receives; null when the request names more than one host (RFC 9112, section 3.2). */
export function forwardRequestHeaders(
  raw: string[],
  authority: string,
  connection: string | undefined,
  remoteAddress: string,
): ForwardedRequest | null {
  const dropped = connection === undefined ? null : namedBy(connection);
  const headers: string[] = ['host', authority];
  let hasBody = false;
  let hosts = 0;
  let cookie: string | undefined;
  let givenId: string | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    if (name.charCodeAt(0) === 0x3a) continue; // pseudo-headers of HTTP/2
    const lower = name.toLowerCase();
    const value = raw[i + 1]!;
    if (lower === 'host') {
      hosts += 1;
    } else if (lower === 'content-length') {
      if (value !== '0') hasBody = true;
      headers.push(name, value);
    } else if (lower === 'cookie') {
      // HTTP/2 may split it; towards HTTP/1.1 it is one field again (RFC 9113, section 8.2.3).
      cookie = cookie === undefined ? value : `${cookie}; ${value}`;
    } else if (hopByHop.has(lower)) {
      if (lower === 'transfer-encoding') {
        hasBody = true;
        // Node finds out when it comes to the body, and by then the upstream would have had the head.
        if (value.toLowerCase() !== 'chunked') return null;
      }
    } else if (setByEdge.has(lower)) {
      if (lower === 'x-request-id') givenId = value;
    } else if (dropped === null || !dropped.has(lower)) {
      headers.push(name, value);
    }
  }
  if (hosts > 1) return null;
  if (cookie !== undefined) headers.push('cookie', cookie);
  const requestId = requestIdOf(givenId);
  headers.push(
    'x-forwarded-for',
    remoteAddress,
    'x-forwarded-proto',
    'https',
    'x-forwarded-host',
    authority,
    'x-request-id',
    requestId,
  );
  return { headers, hasBody, requestId };
}

/** The fields that `Connection` names; null for the usual values, which name none. */
function namedBy(connection: string): Set<string> | null {
  if (connection === 'keep-alive' || connection === 'close' || connection === 'Upgrade') return null;
  const names = new Set<string>();
  for (const part of connection.split(',')) names.add(part.trim().toLowerCase());
  // Naming these would let a client take away what the upstream needs to frame the message.
  for (const kept of ['host', 'content-length', 'content-type']) names.delete(kept);
  return names;
}
