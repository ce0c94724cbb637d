import {
  type Authority,
  type EdgeSettings,
  forwardedMethods,
  readAuthority,
  readRequestTarget,
} from '@lockstep/contract';
import type { ClientRequest } from '../../server/client-message.ts';
import type { Refused } from '../../server/request-refusal.ts';
import type { TrustedProxies } from '../clients/trusted-proxies.ts';
import type { RuledRequest } from '../rules/ruled-request.ts';
import type { OutgoingRequest } from '../upstreams/outgoing-request.ts';
import { type RequestFields, readFields } from './request-fields.ts';
import { traceparentOf } from './trace-context.ts';

/** A request that may be forwarded. */
export interface ReadRequest extends OutgoingRequest, RuledRequest {
  method: string;
  /** Normalised, with its query; `*` for OPTIONS about the server. What the upstream receives, which rules may change. */
  path: string;
  /** What the upstream receives, as flat pairs. */
  headers: string[];
  hasBody: boolean;
  /** As the upstream is told; null where there is none. */
  traceparent: string | null;
  clientAddress: string;
  /** It is not to be forwarded any further (RFC 9110, section 7.6.2). */
  endsHere: boolean;
}

export interface ReadOptions {
  limits: EdgeSettings['limits'];
  /** By what name these edges sign `Via`; the same for the whole fleet. */
  pseudonym: string;
  scheme: 'http' | 'https';
  /** A CONNECT that stands for the GET of a websocket (RFC 8441). */
  asTunnel?: boolean;
  /** Null: there are none. */
  trustedProxies: TrustedProxies | null;
  tracing: EdgeSettings['traceparent'];
}

const methods = forwardedMethods();
/** A request may come through the fleet more than once: a route may lead to a host of the same fleet. */
const mostPasses = 4;

/** Reads the head of a request, strictly and the same for both protocols; a reason when it is not to be served. */
export function readRequest(request: ClientRequest, options: ReadOptions): ReadRequest | Refused {
  const { limits } = options;
  const overHttp2 = 'stream' in request;
  const method = options.asTunnel ? 'GET' : request.method!;
  const version = request.httpVersion;
  if (version !== '1.1' && version !== '1.0' && version !== '2.0') {
    return version === '0.9' ? { reason: 'parse_error' } : { reason: 'unknown_version' };
  }
  if (version === '2.0' && !overHttp2) return { reason: 'unknown_version' };
  // It has no target that could be read, over HTTP/2 not even a path.
  if (method === 'CONNECT') return { reason: 'unknown_method' };
  const url = request.url!;
  if (url.length > limits.targetBytes) return { reason: 'target_too_long' };
  const fields = readFields(request.rawHeaders);
  if (fields.bytes > limits.headBytes || fields.count > limits.headFields)
    return { reason: 'head_too_large' };
  if (fields.spaced) return { reason: 'bad_field' };
  if (!methods.has(method)) {
    // Over HTTP/1 Node's parser lets these through with RTSP in the place of HTTP alone.
    return { reason: overHttp2 || method === 'SOURCE' ? 'unknown_method' : 'parse_error' };
  }
  const target = readRequestTarget(url, method);
  if ('fault' in target) return { reason: 'bad_target', detail: target.fault };
  if (overHttp2 && url.charCodeAt(0) !== 0x2f && url !== '*') return { reason: 'bad_target' };
  const named = readHost(fields, overHttp2);
  if ('reason' in named) return named;
  const { host, authority } = target.authority ?? named;
  if (fields.coding !== undefined) {
    const fault = faultOfCoding(fields.coding, version);
    if (fault !== null) return fault;
  }
  // A length that is no safe integer would be announced to the upstream as another one (RFC 9110, section 8.6).
  if (fields.length !== undefined && !(Number(fields.length) <= Number.MAX_SAFE_INTEGER)) {
    return { reason: 'bad_framing', detail: 'the length of the body is beyond what can be counted' };
  }
  if (fields.expect !== undefined && version !== '1.0' && !onlyContinue(fields.expect))
    return { reason: 'bad_expectation' };
  const { headers, requestId } = fields;
  headers[1] = authority;
  const via = fields.via;
  const signed = `${version} ${options.pseudonym}`;
  if (via === undefined) headers.push('via', signed);
  else if (via.split(options.pseudonym).length > mostPasses) return { reason: 'loop' };
  else headers.push('via', `${via}, ${signed}`);
  let endsHere = target.path === '*';
  if (fields.maxForwards !== undefined) {
    const left = forwardsLeft(fields.maxForwards, method);
    if (left === 'none') endsHere = true;
    else headers.push('max-forwards', left);
  }
  const peer = (request.socket?.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
  const told = options.trustedProxies?.read(peer, request.rawHeaders) ?? null;
  const clientAddress = told?.client ?? peer;
  const scheme = told?.scheme ?? options.scheme;
  headers.push(
    'x-forwarded-for',
    told?.chain ?? peer,
    'x-forwarded-proto',
    scheme,
    'x-forwarded-host',
    told?.authority ?? authority,
    'x-request-id',
    requestId,
  );
  if (told !== null) headers.push(...told.others);
  const traceparent = traceparentOf(fields.traceparent, requestId, options.tracing);
  if (traceparent !== null) {
    headers.push('traceparent', traceparent);
    // It belongs to the client's (section 3.3.1).
    if (fields.tracestate !== undefined && traceparent === fields.traceparent)
      headers.push('tracestate', fields.tracestate);
  }
  return {
    host,
    traceparent,
    authority,
    scheme,
    method,
    asked: target.path,
    path: target.path,
    headers,
    // HTTP/2 needs no field to announce a body (RFC 9113, section 8.1).
    hasBody: overHttp2
      ? !options.asTunnel && !request.stream.endAfterHeaders
      : fields.coding !== undefined || (fields.length !== undefined && fields.length !== '0'),
    requestId,
    clientAddress,
    endsHere,
  };
}

/** Of hosts that were read before: the same few come again and again, and reading costs more than finding. */
const authorities = new Map<string, Authority>();
const mostAuthorities = 1_000;

function authorityOf(given: string): ReturnType<typeof readAuthority> {
  const known = authorities.get(given);
  if (known !== undefined) return known;
  const read = readAuthority(given);
  if ('fault' in read) return read;
  if (authorities.size >= mostAuthorities) authorities.clear();
  authorities.set(given, read);
  return read;
}

function readHost(fields: RequestFields, overHttp2: boolean): Authority | Refused {
  if (fields.hosts > 1) return { reason: 'bad_host', detail: 'the request names more than one host' };
  const given = overHttp2 ? (fields.authority ?? fields.host) : fields.host;
  const named = authorityOf(given ?? '');
  if ('fault' in named) return { reason: 'bad_host', detail: named.fault };
  if (overHttp2 && fields.authority !== undefined && fields.host !== undefined) {
    const other = readAuthority(fields.host);
    // RFC 9113, section 8.3.1.
    if ('fault' in other || other.authority !== named.authority) {
      return { reason: 'bad_host', detail: 'Host and :authority name different hosts' };
    }
  }
  return named;
}

/** RFC 9112, sections 6.1 and 6.3. */
function faultOfCoding(coding: string, version: string): Refused | null {
  if (version === '1.0') return { reason: 'bad_framing', detail: 'HTTP/1.0 has no transfer codings' };
  if (/^chunked$/i.test(coding)) return null;
  const parts = coding
    .toLowerCase()
    .split(',')
    .map((part) => part.trim());
  // Without chunked at the end, and there alone, nobody knows where the body ends.
  return parts.indexOf('chunked') === parts.length - 1
    ? { reason: 'unknown_coding' }
    : { reason: 'bad_framing' };
}

/** A list, and it may be empty (RFC 9110, sections 5.6.1 and 10.1.1). */
function onlyContinue(expect: string): boolean {
  return expect.split(',').every((part) => /^\s*(?:100-continue\s*)?$/i.test(part));
}

/** Only TRACE and OPTIONS count it (RFC 9110, section 7.6.2). */
function forwardsLeft(given: string, method: string): string | 'none' {
  if ((method !== 'TRACE' && method !== 'OPTIONS') || !/^\d{1,9}$/.test(given)) return given;
  return Number(given) === 0 ? 'none' : String(Number(given) - 1);
}
