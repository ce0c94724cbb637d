import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** An upstream of `startMixedLoad`: small and large answers, a digest of what is sent, an event stream, an echo behind an upgrade. */
export interface MixedUpstream {
  readonly port: number;
  readonly url: string;
  /** Ends as a well-kept server does: what is in flight is answered, what is kept is closed; and it listens again. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const small = Buffer.alloc(1_024, 'a');
const largeBytes = 200_000;

/** Of each request for a large one its own: a part of another's would be noticed. */
export function bodyAt(path: string): Buffer {
  return path.startsWith('/large') ? Buffer.alloc(largeBytes, `${path} `) : small;
}

const events = 10;
const eventPauseMs = 120;

export async function startMixedUpstream(): Promise<MixedUpstream> {
  let server = await listen(0);
  const { port } = server.address() as AddressInfo;

  return {
    port,
    url: `http://127.0.0.1:${port}`,
    async restart() {
      await end(server);
      server = await listen(port);
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function end(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  await closed;
}

async function listen(port: number): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const { url = '' } = request;
    if (url === '/small' || url.startsWith('/large')) response.end(bodyAt(url));
    else if (url === '/digest') {
      const hash = createHash('sha256');
      request.on('data', (chunk) => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')));
    } else if (url === '/events') void sendEvents(response);
    else response.writeHead(404).end();
  });
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => socket.destroy());
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
    socket.pipe(socket);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function sendEvents(response: import('node:http').ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (let event = 1; event < events; event += 1) {
    response.write(`data: ${event}\n\n`);
    await delay(eventPauseMs);
  }
  response.end('data: last\n\n');
}
