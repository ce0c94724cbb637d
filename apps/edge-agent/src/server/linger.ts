import type { Socket } from 'node:net';

export const lingerMs = 2_000;

/**
 * Ends a connection after what was written to it. What the client still sends is read to nowhere for a moment, for unread bytes make the
 * kernel reset the connection, and the client may then lose the answer (RFC 9112, section 9.6). A client that neither reads nor ends
 * is cut off after it.
 */
export function linger(socket: Socket): void {
  if (socket.destroyed) return;
  socket.setTimeout(0);
  socket.end();
  // Node's server ends it once more when the client does, and makes an error of that for nobody.
  socket.end = () => socket;
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(timer));
}
