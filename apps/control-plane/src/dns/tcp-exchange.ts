import { once } from 'node:events';
import { connect } from 'node:net';
import type { ServerAddress } from './server-address.ts';

/**
 * Sends one DNS message over TCP and gives back the answer, both without their length (RFC 7766, section 8). Rejects when the
 * answer is not there in time, and when `signal` aborts.
 */
export async function exchangeOverTcp(
  { host, port }: ServerAddress,
  message: Buffer,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
): Promise<Buffer> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const ended = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
  ended.throwIfAborted();
  const socket = connect({ host, port });
  // An error after the abort has nobody else to hear it.
  socket.on('error', () => {});
  const abort = () => socket.destroy(ended.reason);
  ended.addEventListener('abort', abort, { once: true });
  try {
    await once(socket, 'connect', { signal: ended });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    socket.write(Buffer.concat([length, message]));
    let received: Buffer = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2) continue;
      const end = 2 + received.readUInt16BE(0);
      if (received.length >= end) return received.subarray(2, end);
    }
    throw new Error('the server closed the connection without an answer');
  } finally {
    ended.removeEventListener('abort', abort);
    socket.destroy();
  }
}
