import type { IncomingHttpHeaders } from 'node:http';
import type { Transform } from 'node:stream';
import type { ClientResponse } from '../../server/client-message.ts';
import { type OwnAnswer, sendOwnAnswer } from '../../server/own-answer.ts';
import type { RouteRules } from '../rules/route-rules.ts';
import type { GateAnswer } from '../rules/rule.ts';
import type { RuledRequest } from '../rules/ruled-request.ts';
import type { ForwardedAnswer } from './forward-answer.ts';

/** Asks the gates of a route in turn, and calls `then` with what the first that answers says; null: the request goes on. */
export function askGates(
  { gates }: RouteRules,
  request: RuledRequest,
  then: (answer: GateAnswer | null) => void,
  onError: (error: unknown) => void,
  from = 0,
): void {
  for (let i = from; i < gates.length; i += 1) {
    const answer = gates[i]!.pass(request);
    if (answer instanceof Promise) {
      answer
        .then((late) =>
          late === null ? askGates({ gates } as RouteRules, request, then, onError, i + 1) : then(late),
        )
        .catch(onError);
      return;
    }
    if (answer !== null) {
      then(answer);
      return;
    }
  }
  then(null);
}

/** Sends an answer of the edge's own as the route's rules have it. */
export function sendRuled(
  answer: ClientResponse,
  own: OwnAnswer,
  rules: RouteRules | null,
  request: RuledRequest,
): void {
  if (answer.headersSent || answer.destroyed) return;
  const overHttp2 = 'stream' in answer;
  if (!overHttp2) {
    // What was taken over of a head that then could not be written.
    for (const name of answer.getHeaderNames()) if (name !== 'connection') answer.removeHeader(name);
    answer.statusMessage = '';
  }
  if (rules === null) sendOwnAnswer(answer, own, own.fields);
  else sendChanged(answer, own, rules, request);
}

function sendChanged(answer: ClientResponse, own: OwnAnswer, rules: RouteRules, request: RuledRequest): void {
  const fields = changeFields([...own.fields], rules, request, 'stream' in answer);
  if (own.body === null || rules.body === null) {
    sendOwnAnswer(answer, own, fields);
    return;
  }
  // HEAD is answered with the fields that GET is (RFC 9110, section 9.3.2), and they depend on what becomes of the body.
  const asGet = { ...request, method: 'GET' };
  const length = ['content-length', String(own.body.length)];
  const head = { statusCode: own.status, fields: [...fields, ...length], hasLength: true };
  const through = rules.body.through(head, asGet, headersOf(answer));
  if (through === null) {
    sendOwnAnswer(answer, own, head.fields);
    return;
  }
  const chunks: Buffer[] = [];
  through.on('data', (chunk) => chunks.push(chunk));
  through.on('end', () => sendOwnAnswer(answer, { ...own, body: Buffer.concat(chunks) }, head.fields));
  through.on('error', () => sendOwnAnswer(answer, own, fields));
  through.end(own.body);
}

/** What an upstream's answer becomes by the rules of its route; what its body goes through, or null. */
export function ruleAnswer(
  forwarded: ForwardedAnswer,
  statusCode: number,
  rules: RouteRules,
  request: RuledRequest,
  response: ClientResponse,
): Transform | null {
  const { hasLength } = forwarded;
  const fields = changeFields(forwarded.fields, rules, request, 'stream' in response);
  forwarded.fields = fields;
  if (rules.body === null) return null;
  const head = { statusCode, fields, hasLength };
  const through = rules.body.through(head, request, headersOf(response));
  forwarded.hasLength = head.hasLength;
  return through;
}

/** What the client sent, whatever rules made of it for the upstream. */
function headersOf(response: ClientResponse): IncomingHttpHeaders {
  return 'stream' in response ? response.headers : response.req.headers;
}

/** What the fields of an answer become by the rules of its route. */
export function changeFields(
  fields: string[],
  { answers }: RouteRules,
  request: RuledRequest,
  overHttp2: boolean,
): string[] {
  let now = fields;
  for (const rule of answers) now = rule.change(now, request, overHttp2);
  return now;
}
