import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';

/** A client of the edge that sends the bytes it is told to, and keeps what comes back. */
export interface RawClient {
  readonly socket: TLSSocket;
  /** Bytes are given as latin1 text. */
  send(bytes: string | Buffer): void;
  /** Everything that was received, as latin1 text. */
  readonly received: string;
  /** Everything that was received, once it matches. Rejects when the connection ends before. */
  until(pattern: RegExp): Promise<string>;
  /** Everything that was received, once the edge has ended the connection, or it broke. */
  ended(): Promise<string>;
  /** The status codes of the answers so far; interim ones too. A body that looks like a head counts as one. */
  readonly statuses: number[];
  close(): void;
  /** Ends the connection with a TCP reset. */
  reset(): void;
}

/** A connection whose handshake is through; speaks HTTP/1.1 unless `ALPNProtocols` says otherwise. */
export async function connectRaw(
  port: number,
  options: ConnectionOptions & { servername: string },
): Promise<RawClient> {
  const below = connectTcp(port, '127.0.0.1');
  const socket = connect({ socket: below, ALPNProtocols: ['http/1.1'], ...options });
  await once(socket, 'secureConnect');
  let received = '';
  socket.setNoDelay();
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
  });
  const over = new Promise<void>((resolve) => {
    socket.once('end', resolve).once('close', () => resolve());
  });

  return {
    socket,
    send: (bytes) => void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
    get received() {
      return received;
    },
    async until(pattern) {
      while (!pattern.test(received)) {
        if (socket.readableEnded || socket.destroyed) {
          throw new Error(`the connection ended before ${pattern}; received ${JSON.stringify(received)}`);
        }
        await Promise.race([once(socket, 'data'), over]);
      }
      return received;
    },
    async ended() {
      await over;
      return received;
    },
    get statuses() {
      return [...received.matchAll(/HTTP\/1\.1 (\d{3})[ \r]/g)].map(([, status]) => Number(status));
    },
    close: () => void socket.destroy(),
    reset: () => void below.resetAndDestroy(),
  };
}
