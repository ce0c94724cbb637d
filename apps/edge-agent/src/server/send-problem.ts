import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import { createProblem, type ErrorCode, problemContentType } from '@lockstep/contract';

/** Answers with a problem document (RFC 9457), unless the head is already out. */
export function sendProblem(
  answer: ServerResponse | Http2ServerResponse,
  status: number,
  code: ErrorCode,
  detail: string,
  requestId: string,
): void {
  const response = answer as ServerResponse;
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(JSON.stringify(createProblem(code, status, detail, { instance: requestId })));
  response.setHeader('content-type', problemContentType);
  response.setHeader('content-length', body.length);
  response.setHeader('x-request-id', requestId);
  if (!('stream' in answer) && !leavesLittle(response.req)) response.setHeader('connection', 'close');
  response.writeHead(status);
  response.end(body);
}

const mostReadToNowhere = 65_536;

/** Whether what is left of a body is soon read to nowhere, so that the connection can go on; else it ends with this answer. */
function leavesLittle({ complete, headers }: IncomingMessage): boolean {
  if (complete) return true;
  if (headers['transfer-encoding'] !== undefined) return false;
  const lengthBytes = Number(headers['content-length'] ?? 0);
  // A client that was to be told to go on with a body may do so or not.
  if (lengthBytes > 0 && /100-continue/i.test(headers.expect ?? '')) return false;
  return lengthBytes <= mostReadToNowhere;
}
