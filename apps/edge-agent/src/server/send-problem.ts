import { createProblem, type ErrorCode, problemContentType } from '@lockstep/contract';
import type { ClientResponse } from './client-message.ts';
import { type OwnAnswer, sendOwnAnswer } from './own-answer.ts';

/** A problem document (RFC 9457). `fields` are flat pairs beside those that it has. */
export function problemAnswer(
  status: number,
  code: ErrorCode,
  detail: string,
  requestId: string,
  fields: readonly string[] = [],
): OwnAnswer {
  const body = Buffer.from(JSON.stringify(createProblem(code, status, detail, { instance: requestId })));
  return { status, fields: ['content-type', problemContentType, 'x-request-id', requestId, ...fields], body };
}

/** Answers with one, unless a head is already out. */
export function sendProblem(
  response: ClientResponse,
  status: number,
  code: ErrorCode,
  detail: string,
  requestId: string,
): void {
  const answer = problemAnswer(status, code, detail, requestId);
  sendOwnAnswer(response, answer, answer.fields);
}
