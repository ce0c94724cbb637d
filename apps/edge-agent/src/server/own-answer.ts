import type { IncomingMessage } from 'node:http';
import type { ClientResponse } from './client-message.ts';
import type { ClientStream } from './client-stream.ts';

/** An answer that the edge gives itself. */
export interface OwnAnswer {
  readonly status: number;
  /** Flat pairs; Content-Length is added to them. */
  readonly fields: readonly string[];
  readonly body: Buffer | null;
}

/** Sends it, unless a head is already out. `fields` are those of the answer, as they were changed on the way. */
export function sendOwnAnswer(
  answer: ClientResponse,
  { status, body }: OwnAnswer,
  fields: readonly string[],
): void {
  if (answer.headersSent || answer.destroyed) return;
  if ('stream' in answer) {
    sendOverHttp2(answer, status, body, fields);
    return;
  }
  const response = answer;
  for (let i = 0; i < fields.length; i += 2) response.appendHeader(fields[i]!, fields[i + 1]!);
  // RFC 9110, section 8.6.
  if (status !== 204) response.setHeader('content-length', body?.length ?? 0);
  if (!leavesLittle(response.req)) response.setHeader('connection', 'close');
  response.writeHead(status);
  if (body === null) response.end();
  else response.end(body);
}

function sendOverHttp2(
  answer: ClientStream,
  status: number,
  body: Buffer | null,
  given: readonly string[],
): void {
  const fields: string[] = [];
  for (let i = 0; i < given.length; i += 2) {
    if (given[i]!.toLowerCase() !== 'content-length') fields.push(given[i]!, given[i + 1]!);
  }
  const bytes = body?.length ?? 0;
  // RFC 9110, section 8.6.
  if (status !== 204) fields.push('content-length', String(bytes));
  const ends = bytes === 0 || answer.method === 'HEAD';
  answer.sendHead(status, fields, ends, false);
  if (ends) return;
  answer.ownBytes = bytes;
  answer.end(body!);
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
