import { requestIdOf } from '../../server/request-id.ts';
import { createFieldKinds, dropNamed, hopByHop } from './field-kinds.ts';

/** What becomes of a field of a request, by its name. */
const passed = 0;
const dropped = 1;
const hostField = 2;
const authorityField = 3;
const lengthField = 4;
const codingField = 5;
const cookieField = 6;
const connectionField = 7;
const requestIdField = 8;
const viaField = 9;
const expectField = 10;
const forwardsField = 11;
const pseudoField = 12;
const teField = 13;
const traceField = 14;
const traceStateField = 15;

const kinds = new Map<string, number>([
  ['host', hostField],
  [':authority', authorityField],
  ['content-length', lengthField],
  ['transfer-encoding', codingField],
  ['cookie', cookieField],
  ['connection', connectionField],
  ['x-request-id', requestIdField],
  ['via', viaField],
  ['expect', expectField],
  ['max-forwards', forwardsField],
  ['traceparent', traceField],
  ['tracestate', traceStateField],
]);
/** RFC 9440: the edge says which certificate a client showed. */
const clientCertificate = ['client-cert', 'client-cert-chain'];
// Beside those: what a client claims of itself and the edge knows better, as it is the first hop that is trusted; and `Proxy`, which CGI
// takes for a setting of its own (httpoxy).
for (const name of [
  ...hopByHop,
  'proxy-authorization',
  'forwarded',
  'x-real-ip',
  'proxy',
  ...clientCertificate,
])
  kinds.set(name, dropped);
kinds.set('te', teField);

const fieldOf = createFieldKinds(kindOf);

function kindOf(lower: string): number {
  if (lower.charCodeAt(0) === 0x3a) return kinds.get(lower) ?? pseudoField;
  // CGI and its heirs read `-` and `_` as the same character: the twin of a field that the edge sets or needs would pass for it.
  const dashed = lower.replaceAll('_', '-');
  if (dashed.startsWith('x-forwarded-') || (dashed !== lower && kinds.has(dashed))) return dropped;
  return kinds.get(lower) ?? passed;
}

/** The fields of a request as they go on, and what was read of them on the way. */
export interface RequestFields {
  /** Flat pairs, as undici takes them; the first is Host, and its value still to be set. */
  headers: string[];
  hosts: number;
  host: string | undefined;
  /** `:authority` of HTTP/2. */
  authority: string | undefined;
  /** Content-Length, without leading zeros. */
  length: string | undefined;
  coding: string | undefined;
  expect: string | undefined;
  via: string | undefined;
  maxForwards: string | undefined;
  /** Of W3C Trace Context, as they came; a second `traceparent` makes the first one worthless. */
  traceparent: string | undefined;
  tracestate: string | undefined;
  requestId: string;
  /** Of names and values. Fields that HTTP/2 splits a cookie into are one. */
  bytes: number;
  count: number;
  /** A value begins or ends with a space, which HTTP/1.1 takes off and HTTP/2 forbids (RFC 9113, section 8.2.1). */
  spaced: boolean;
}

export function readFields(raw: string[]): RequestFields {
  const headers: string[] = ['host', ''];
  const read: RequestFields = {
    headers,
    hosts: 0,
    host: undefined,
    authority: undefined,
    length: undefined,
    coding: undefined,
    expect: undefined,
    via: undefined,
    maxForwards: undefined,
    traceparent: undefined,
    tracestate: undefined,
    requestId: '',
    bytes: 0,
    count: 0,
    spaced: false,
  };
  let cookie: string | undefined;
  let connection: string | undefined;
  let givenId: string | undefined;
  let te = false;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    const { kind } = fieldOf(name);
    if (kind === pseudoField) continue;
    read.bytes += name.length + value.length;
    read.count += 1;
    if (isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1))) read.spaced = true;
    if (kind === passed) headers.push(name, value);
    else if (kind === hostField) {
      read.hosts += 1;
      read.host = value;
    } else if (kind === authorityField) read.authority = value;
    else if (kind === lengthField) {
      // Whoever takes leading zeros for octal would see another length.
      read.length = value.replace(/^0+(?=\d)/, '');
      headers.push(name, read.length);
    } else if (kind === cookieField) {
      // HTTP/2 may split it; towards HTTP/1.1 it is one field again (RFC 9113, section 8.2.3).
      if (cookie !== undefined) read.count -= 1;
      cookie = cookie === undefined ? value : `${cookie}; ${value}`;
    } else if (kind === connectionField) connection = joined(connection, value);
    else if (kind === codingField) read.coding = joined(read.coding, value);
    else if (kind === viaField) read.via = joined(read.via, value);
    else if (kind === expectField) read.expect = joined(read.expect, value);
    else if (kind === forwardsField) read.maxForwards = value;
    else if (kind === requestIdField) givenId = value;
    else if (kind === traceField) read.traceparent = joined(read.traceparent, value);
    else if (kind === traceStateField) read.tracestate = joined(read.tracestate, value);
    // Codings are this connection's own affair; gRPC asks for trailers and is not served without (RFC 9110, section 10.1.4).
    else if (kind === teField && /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(value)) te = true;
  }
  if (cookie !== undefined) headers.push('cookie', cookie);
  read.requestId = requestIdOf(givenId);
  if (connection !== undefined) dropNamed(headers, connection);
  if (te) headers.push('te', 'trailers');
  return read;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}
