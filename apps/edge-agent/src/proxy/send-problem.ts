import type { ServerResponse } from 'node:http';
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
  // A body still on its way would be taken for the next request; the connection ends with this answer.
  if (!('stream' in answer) && !response.req.complete) response.setHeader('connection', 'close');
  response.writeHead(status);
  response.end(body);
}
