import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface TroubledWay {
  readonly port: number;
  readonly url: string;
  /** Where new connections lead. */
  target: number;
  /** New connections are accepted, and whatever comes on them is swallowed. */
  swallow: boolean;
  /** Answers reach the client a byte at a time. */
  splitBytes: boolean;
  /** What all answers together may take of the way; null: as fast as it goes. */
  bytesPerSecond: number | null;
  /** How many connections were swallowed so far. */
  readonly swallowed: number;
  close(): Promise<void>;
}

/** Stands between a store and its Redis, and makes the way between them as bad as a test wants it. */
export async function startTroubledWay(target: number): Promise<TroubledWay> {
  const sockets = new Set<Socket>();
  let swallowed = 0;
  let freeAt = 0;
  const server = createServer((client) => {
    keep(client);
    if (way.swallow) {
      swallowed += 1;
      client.resume();
      return;
    }
    const upstream = connect(way.target, '127.0.0.1');
    keep(upstream);
    client.setNoDelay();
    upstream.setNoDelay();
    client.on('close', () => upstream.destroy()).on('data', (data) => upstream.write(data));
    upstream.on('close', () => client.destroy());
    passAnswers(upstream, client).catch(() => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
  }

  async function passAnswers(from: Socket, to: Socket): Promise<void> {
    for await (const data of from as AsyncIterable<Buffer>) {
      const step = way.splitBytes ? 1 : 4_096;
      for (let at = 0; at < data.length; at += step) {
        const part = data.subarray(at, at + step);
        if (way.bytesPerSecond !== null) await takeTurn(part.length, way.bytesPerSecond);
        else if (way.splitBytes) await new Promise(setImmediate);
        to.write(part);
      }
    }
  }

  /** All connections share the way: each part begins when those before it are through. */
  async function takeTurn(bytes: number, bytesPerSecond: number): Promise<void> {
    const now = performance.now();
    freeAt = Math.max(freeAt, now) + (bytes / bytesPerSecond) * 1_000;
    if (freeAt - now >= 1) await delay(freeAt - now);
  }

  const { port } = server.address() as AddressInfo;
  const way = {
    port,
    url: `redis://127.0.0.1:${port}`,
    target,
    swallow: false,
    splitBytes: false,
    bytesPerSecond: null as number | null,
    get swallowed() {
      return swallowed;
    },
    async close(): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return way;
}
