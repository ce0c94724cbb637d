import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ClientResponse } from './client-message.ts';
import { flushHead } from './flush-head.ts';
import { linger } from './linger.ts';

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
  flushHead(answer as ServerResponse);
  linger(socket);
}

/** The same at once, for a client that takes nothing. */
export function cutOff(answer: ClientResponse): void {
  if ('stream' in answer) {
    answer.breakOff();
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
