import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { createLocalhostCertificate } from '@lockstep/testkit';

/**
 * An upstream of `startMixedLoad`: small and large answers, a digest of what is sent, an event stream, calls as of gRPC, an echo behind an
 * upgrade.
 */
export interface MixedUpstream {
  readonly port: number;
  readonly url: string;
  /** Ends as a well-kept server does: what is in flight is answered, what is kept is closed; and it listens again. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export type MixedProtocol = 'http1' | 'h2c' | 'h2';

const small = Buffer.alloc(1_024, 'a');
const largeBytes = 200_000;

/** Of each request for a large one its own: a part of another's would be noticed. */
export function bodyAt(path: string): Buffer {
  return path.startsWith('/large') ? Buffer.alloc(largeBytes, `${path} `) : small;
}

const events = 10;
const eventPauseMs = 120;

interface Listening {
  server: Server;
  /** Of HTTP/2. */
  sessions: Set<Http2Session>;
}

/** One of `h2` speaks HTTP/1.1 as well, as what switches to another protocol needs it. */
export async function startMixedUpstream(protocol: MixedProtocol = 'http1'): Promise<MixedUpstream> {
  const certificate = protocol === 'h2' ? await createLocalhostCertificate() : null;
  let listening = await listen(0);
  const { port } = listening.server.address() as AddressInfo;

  return {
    port,
    url: `${protocol === 'h2' ? 'https' : 'http'}://127.0.0.1:${port}`,
    async restart() {
      await end(listening);
      listening = await listen(port);
    },
    async close() {
      const { server, sessions } = listening;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections?.();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };

  async function listen(at: number): Promise<Listening> {
    const server = create();
    const sessions = new Set<Http2Session>();
    server.on('session', (session: Http2Session) => {
      sessions.add(session);
      session.on('error', () => {});
      session.once('close', () => sessions.delete(session));
    });
    server.on('upgrade', echo);
    server.listen(at, '127.0.0.1');
    await once(server, 'listening');
    return { server, sessions };
  }

  /** Those of HTTP/2 are typed as if they were none of HTTP/1.1, whose events they have. */
  function create(): Server {
    if (protocol === 'http1') return createServer({ keepAliveTimeout: 60_000 }, answer);
    if (certificate === null) return createHttp2Server(answer) as unknown as Server;
    const { chain, keyPem } = certificate;
    return createSecureServer({ cert: chain, key: keyPem, allowHTTP1: true }, answer) as unknown as Server;
  }
}

async function end({ server, sessions }: Listening): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections?.();
  for (const session of sessions) session.close();
  await closed;
}

function answer(
  request: IncomingMessage | Http2ServerRequest,
  given: ServerResponse | Http2ServerResponse,
): void {
  const { url = '' } = request;
  const response = given as ServerResponse;
  request.on('error', () => {});
  response.on('error', () => {});
  if (url === '/small' || url.startsWith('/large')) response.end(bodyAt(url));
  else if (url === '/digest') {
    const hash = createHash('sha256');
    request.on('data', (chunk) => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')));
  } else if (url === '/events') void sendEvents(response);
  else if (url === '/call') {
    response.writeHead(200, { 'content-type': 'application/grpc', trailer: 'grpc-status' });
    request.on('data', (chunk) => response.write(chunk));
    request.on('end', () => {
      response.addTrailers({ 'grpc-status': '0' });
      response.end();
    });
  } else response.writeHead(404).end();
}

async function sendEvents(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (let event = 1; event < events; event += 1) {
    response.write(`data: ${event}\n\n`);
    await delay(eventPauseMs);
  }
  response.end('data: last\n\n');
}

function echo(request: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  const { upgrade } = request.headers;
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${upgrade}\r\n\r\n`);
  socket.pipe(socket);
}
