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

/** Changes the body of answers of upstreams. */
export interface BodyRule {
  /**
   * What the body of an answer goes through, or null. The fields are as they will be sent, and to be changed with it: Content-Length has to go.
   * Not asked where there is no body: for HEAD, 204 and 304.
   */
  through(fields: string[], statusCode: number, request: RuledRequest): Transform | null;
}
