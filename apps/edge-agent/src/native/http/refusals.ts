import type { EdgeSettings } from '@lockstep/contract';
import { sendOwnAnswer } from '../../server/own-answer.ts';
import { requestIdOf } from '../../server/request-id.ts';
import { type Refused, requestRefusals } from '../../server/request-refusal.ts';
import { problemAnswer } from '../../server/send-problem.ts';
import type { Incidents } from '../clients/incidents.ts';
import type { RouteTable } from '../routing/route-table.ts';
import { type Pages, pageInstead } from '../rules/pages.ts';
import type { RouteRules } from '../rules/route-rules.ts';
import { allowedMethods } from './allowed-methods.ts';
import { endWithAnswer } from './end-with-answer.ts';
import type { ExchangeWatch } from './exchange-watch.ts';
import type { ReadRequest } from './read-request.ts';
import { sendRuled } from './ruled-answer.ts';

export interface RefusalsOptions {
  routes: Pick<RouteTable, 'methodsFor' | 'pagesAt'>;
  settings(): EdgeSettings;
  incidents: Pick<Incidents, 'onRefused'>;
}

/** Answers requests that are not forwarded. */
export interface Refusals {
  /** `rules` where its route is known, `forwarded` where it could be read. `onDone` is called when the client has it. */
  refuse(
    watch: ExchangeWatch,
    refused: Refused,
    onDone: (statusCode: number) => void,
    rules?: RouteRules | null,
    forwarded?: ReadRequest | null,
  ): void;
  /** Why no route was found. */
  notFound(forwarded: ReadRequest): Refused;
}

export function createRefusals({ routes, settings, incidents }: RefusalsOptions): Refusals {
  function refuse(
    watch: ExchangeWatch,
    { reason, detail, fields }: Refused,
    onDone: (statusCode: number) => void,
    rules: RouteRules | null = null,
    forwarded: ReadRequest | null = null,
  ): void {
    const { status, code, detail: usual } = requestRefusals[reason];
    const { request, response } = watch;
    watch.cause = reason;
    incidents.onRefused(reason, detail);
    response.on('close', () => onDone(status));
    // Where a message ends is not clear, or was said in a language that is not spoken here.
    if (!('stream' in response) && endsConnection.has(reason)) response.setHeader('connection', 'close');
    if ('stream' in request && !request.stream.endAfterHeaders) endWithAnswer(request);
    const id = forwarded?.requestId ?? requestIdOf(request.headers['x-request-id']);
    const words = detail === undefined ? usual : sentence(detail);
    const given = reason === 'trace_ends_here' ? ['allow', allowedMethods] : fields;
    const answer = problemAnswer(status, code, words, id, given);
    if (forwarded === null) sendOwnAnswer(response, answer, answer.fields);
    else
      sendRuled(
        response,
        pageInstead(answer, pagesFor(rules, forwarded, status), settings(), forwarded),
        rules,
        forwarded,
      );
  }

  /** Where no route was found, those that the host's routes have. */
  function pagesFor(rules: RouteRules | null, { host }: ReadRequest, status: number): Pages | null {
    return rules === null ? routes.pagesAt(host, status) : rules.pages;
  }

  function notFound(forwarded: ReadRequest): Refused {
    const methods = forwarded.path === '*' ? [] : routes.methodsFor(forwarded);
    if (methods.length === 0) return { reason: 'no_route' };
    return { reason: 'method_not_served', fields: ['allow', methods.join(', ')] };
  }

  return { refuse, notFound };
}

const endsConnection = new Set<Refused['reason']>([
  'bad_framing',
  'body_too_large',
  'unknown_coding',
  'unknown_version',
  'parse_error',
]);

function sentence(words: string): string {
  return `${words[0]!.toUpperCase()}${words.slice(1)}.`;
}
