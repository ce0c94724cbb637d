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
  sendOwnAnswer(
    answer,
    own,
    rules === null ? own.fields : changeFields([...own.fields], rules, request, overHttp2),
  );
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
  // What the client sent, whatever rules made of it for the upstream.
  const through = rules.body.through(
    head,
    request,
    'stream' in response ? response.headers : response.req.headers,
  );
  forwarded.hasLength = head.hasLength;
  return through;
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
