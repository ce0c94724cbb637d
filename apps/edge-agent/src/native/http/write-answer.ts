import type { ServerResponse } from 'node:http';
import type { Transform } from 'node:stream';
import { noteFraming } from '../../server/break-off.ts';
import type { ClientRequest, ClientResponse } from '../../server/client-message.ts';
import { flushHead } from '../../server/flush-head.ts';
import type { RouteRules } from '../rules/route-rules.ts';
import type { RuledRequest } from '../rules/ruled-request.ts';
import type { AnswerHead } from '../upstreams/answer-head.ts';
import { ExchangeError } from '../upstreams/failure-cause.ts';
import { type ForwardedAnswer, forwardAnswer } from './forward-answer.ts';
import { ruleAnswer } from './ruled-answer.ts';

const { STATUS_CODES } = process.getBuiltinModule('node:http');

/** Statuses without content (RFC 9110, section 6.4.1). */
const bodiless = new Set([204, 205, 304]);
const none: string[] = [];

/**
 * Writes the head of an upstream's final answer in the client's protocol, and gives back what the body goes through by the route's rules, null
 * where that is nothing. Throws an `ExchangeError` for one that a client may not get.
 */
export function writeAnswerHead(
  response: ClientResponse,
  statusCode: number,
  head: AnswerHead,
  statusMessage: string | undefined,
  rules: RouteRules | null,
  request: RuledRequest,
): Transform | null {
  const overHttp2 = 'stream' in response;
  // Node's HTTP/2 refuses it, and a client would have to take it for a 5xx (RFC 9110, section 15).
  if (overHttp2 && statusCode > 599)
    throw new ExchangeError('upstream_head_invalid', `the status is ${statusCode}`);
  const forwarded = forwardAnswer(head, statusCode, overHttp2);
  const { hasLength } = forwarded;
  const through = rules === null ? null : ruleAnswer(forwarded, statusCode, rules, request, response);
  try {
    writeHead(response, statusCode, head, statusMessage, forwarded, through, hasLength);
    return through;
  } catch (error) {
    through?.destroy();
    throw error;
  }
}

function writeHead(
  response: ClientResponse,
  statusCode: number,
  head: AnswerHead,
  statusMessage: string | undefined,
  { fields, hasLength, trailer }: ForwardedAnswer,
  through: Transform | null,
  lengthKnown: boolean,
): void {
  if ('stream' in response) {
    // With the end of the stream, which is what tells some clients that there is no trailer to wait for (gRPC).
    const ends = through === null && (head.ends || response.method === 'HEAD' || bodiless.has(statusCode));
    // Behind a length HTTP/1.1 has no room for a trailer; HTTP/2 has.
    response.sendHead(statusCode, fields, ends, !lengthKnown || head.bytes > 0);
    return;
  }
  const h1 = response as ServerResponse;
  const hasBody = h1.req.method !== 'HEAD' && statusCode !== 204 && statusCode !== 304;
  if (trailer !== null && hasBody && !hasLength && h1.useChunkedEncodingByDefault)
    fields.push('Trailer', trailer);
  h1.writeHead(statusCode, reasonPhrase(statusCode, statusMessage), fields);
  if (hasLength) return;
  // The head goes out at once: an event stream may send nothing for a while.
  flushHead(h1);
  noteFraming(h1);
}

/** Writes an interim answer (RFC 9110, section 15.2); nothing to a client that cannot take one, or no longer. */
export function writeInterim(
  request: ClientRequest,
  response: ClientResponse,
  statusCode: number,
  head: AnswerHead,
): void {
  if (response.headersSent || (request.httpVersionMajor === 1 && request.httpVersionMinor === 0)) return;
  if ('stream' in response) {
    const fields = statusCode === 100 ? none : forwardAnswer(head, statusCode, true).fields;
    response.sendInterim(statusCode, fields);
  } else if (statusCode === 100) {
    response.writeContinue();
  } else {
    const { fields } = forwardAnswer(head, statusCode, false);
    response.writeInformation(statusCode, fields as never);
  }
}

/** Flat pairs, behind the body. Over HTTP/1.1 only a body in chunks has room for them; what has none goes without (RFC 9110, section 6.5). */
export function writeTrailer(response: ClientResponse, trailer: string[]): void {
  if ('stream' in response) {
    response.addTrailers(trailer);
  } else if (response.chunkedEncoding) {
    const pairs: [string, string][] = [];
    for (let i = 0; i < trailer.length; i += 2) pairs.push([trailer[i]!, trailer[i + 1]!]);
    response.addTrailers(pairs);
  }
}

/** The upstream's own words where Node can write them; no protocol attaches a meaning to them (RFC 9112, section 4). */
function reasonPhrase(statusCode: number, given: string | undefined): string {
  const usual = STATUS_CODES[statusCode];
  if (given === undefined || given === usual) return usual ?? '';
  return /^[\t\x20-\x7e]*$/.test(given) ? given : (usual ?? '');
}
