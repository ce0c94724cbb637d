import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ClientResponse } from './exchange.ts';
import type { FailureCause } from './failure-cause.ts';
import { linger } from './linger.ts';
import { sendProblem } from './send-problem.ts';

const retryAfterSeconds = 1;

/** Answers in the upstream's place. What it was exactly is for the operator; a client learns no more than it needs. */
export function answerFailure(
  answer: ClientResponse,
  cause: FailureCause,
  dialled: boolean,
  requestId: string,
): void {
  const response = answer as ServerResponse;
  // What was taken over of a head that then could not be written.
  for (const name of response.getHeaderNames()) if (name !== 'connection') response.removeHeader(name);
  if (!('stream' in answer)) response.statusMessage = '';
  if (cause === 'request_not_forwardable') {
    sendProblem(answer, 400, 'invalid_request', 'The request cannot be forwarded.', requestId);
  } else if (cause === 'client_body_broke_off') {
    sendProblem(answer, 400, 'invalid_request', 'The body ended before it was complete.', requestId);
  } else if (cause === 'client_trailer_too_large') {
    sendProblem(answer, 431, 'headers_too_large', 'The trailer of the request is too large.', requestId);
  } else if (cause === 'upstream_busy') {
    response.setHeader('retry-after', retryAfterSeconds);
    sendProblem(answer, 503, 'upstream_busy', 'The upstream has no room for more requests.', requestId);
  } else if (cause === 'edge_failed') {
    sendProblem(answer, 500, 'internal', 'Something unexpected failed.', requestId);
  } else if (cause === 'upstream_timeout_connect' || cause === 'upstream_timeout_first_byte') {
    sendProblem(answer, 504, 'upstream_timeout', 'The upstream did not answer in time.', requestId);
  } else {
    const what = dialled ? 'broke off before it answered' : 'cannot be reached';
    sendProblem(answer, 502, 'upstream_unreachable', `The upstream ${what}.`, requestId);
  }
}

/** Answers whose body only the end of the connection ends, as HTTP/1.0 has them. */
const endedByConnection = new WeakSet<ServerResponse>();

/** To be called once the head of an answer without length is out. */
export function noteFraming(response: ServerResponse): void {
  if (!response.chunkedEncoding) endedByConnection.add(response);
}

/**
 * Ends a response so that the client sees it is incomplete: never as a regular end. What there is goes out first: clients take a
 * connection that closes without a byte for one that was idle too long, and repeat the request.
 */
export function breakOff(answer: ClientResponse): void {
  const { socket } = answer as ServerResponse;
  if ('stream' in answer || socket === null || endedByConnection.has(answer as ServerResponse)) {
    cutOff(answer);
    return;
  }
  (answer as ServerResponse).flushHeaders();
  linger(socket);
}

/** The same at once, for a client that takes nothing. */
export function cutOff(answer: ClientResponse): void {
  if ('stream' in answer) {
    answer.stream.close(0x2); // INTERNAL_ERROR (RFC 9113, section 7)
    return;
  }
  const response = answer as ServerResponse;
  // RFC 9112, section 8. A reset, because most clients do not tell the end of TLS from that of TCP.
  if (endedByConnection.has(response)) resetConnection(response.socket);
  response.destroy();
}

function resetConnection(socket: Socket | null): void {
  const carrier = (socket as (Socket & { _parent?: Socket }) | null)?._parent ?? socket;
  carrier?.resetAndDestroy();
}
