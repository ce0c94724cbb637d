import type { IncomingHttpHeaders } from 'node:http';
import type { Transform } from 'node:stream';
import type { OwnAnswer } from '../../server/own-answer.ts';
import type { Refused } from '../../server/request-refusal.ts';
import type { RuledRequest } from './ruled-request.ts';

/** What becomes of a request that an upstream shall not see: an answer of the rule's own, or a refusal, for which there may be a page. */
export type GateAnswer = OwnAnswer | Refused;

/** Asked before an upstream is; null lets the request pass. A promise where that takes time: the body waits meanwhile. */
export interface Gate {
  pass(request: RuledRequest): GateAnswer | null | Promise<GateAnswer | null>;
}

/** Changes what the upstream receives. */
export interface RequestRule {
  change(request: RuledRequest): void;
}

/** Changes the head of each answer of the route, the upstream's or the edge's own. */
export interface AnswerRule {
  /** `fields` are flat pairs, in lower case over HTTP/2; it gives back what they are now, in the same list or another. */
  change(fields: string[], request: RuledRequest, overHttp2: boolean): string[];
}

/** The head of an upstream's answer. */
export interface RuledHead {
  statusCode: number;
  /** Flat pairs; over HTTP/2 in lower case. */
  fields: string[];
  hasLength: boolean;
}

/** Changes the body of answers of upstreams. */
export interface BodyRule {
  /** What the body of an answer goes through, or null. The head is as it will be sent, and is changed with it, also where there is no body, as for HEAD. */
  through(head: RuledHead, request: RuledRequest, client: IncomingHttpHeaders): Transform | null;
}
