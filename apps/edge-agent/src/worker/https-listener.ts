import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { ClientRequest, ClientResponse } from '../proxy/exchange.ts';
import type { Forwarder } from '../proxy/forwarder.ts';
import { type Handshakes, handshakeTimeoutMs, unknownNameCode } from './handshakes.ts';

const idleSessionMs = 600_000;

export type HandshakeFailure = 'unknown_name' | 'not_held' | 'no_name' | 'timeout' | 'other';

export interface HttpsListenerOptions {
  handshakes: Handshakes;
  forwarder: Forwarder;
  /** 48 bytes, the same for all workers of the edge: a session resumes at any of them. */
  ticketKeys: Buffer;
  onHandshakeFailure(reason: HandshakeFailure): void;
}

export interface HttpsListener {
  readonly server: Http2SecureServer;
  readonly connections: number;
  /** Of HTTP/2. */
  readonly sessions: number;
  /** Takes no more connections, and tells those there are that this is their last request. */
  drain(): void;
  /** Breaks off all connections. */
  destroy(): void;
}

/** Terminates TLS by SNI; HTTP/1.1 (with websockets) and HTTP/2 on the same port. */
export function createHttpsListener(options: HttpsListenerOptions): HttpsListener {
  const { handshakes, forwarder } = options;
  const sockets = new Set<Duplex>();
  const sessions = new Set<ServerHttp2Session>();
  let draining = false;

  const server = createSecureServer({
    allowHTTP1: true,
    minVersion: 'TLSv1.2',
    SNICallback: handshakes.SNICallback,
    ALPNCallback: handshakes.ALPNCallback,
    sessionIdContext: 'lockstep',
    ticketKeys: options.ticketKeys,
    handshakeTimeout: handshakeTimeoutMs,
    // A client that vanished without a word would keep its websocket or event stream for ever.
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    // http/1.1
    keepAliveTimeout: 60_000,
    headersTimeout: 30_000,
    requestTimeout: 0, // an upload may take as long as it likes
    // h2
    settings: { maxConcurrentStreams: 128 },
    unknownProtocolTimeout: 5_000,
  } as Parameters<typeof createSecureServer>[0]);
  Object.assign(server, {
    keepAliveTimeout: 60_000,
    headersTimeout: 30_000,
    requestTimeout: 0,
    // Other upgrades (h2c, say) are ignored, as RFC 9110, section 7.8 allows.
    shouldUpgradeCallback: (request: IncomingMessage) =>
      request.headers.upgrade?.toLowerCase() === 'websocket',
  });

  function handle(request: ClientRequest, response: ClientResponse): void {
    if (draining && request.httpVersionMajor === 1)
      (response as ServerResponse).setHeader('connection', 'close');
    forwarder.handle(request, response);
  }
  server.on('request', handle);
  // The upstream decides whether it wants the body (RFC 9110, section 10.1.1).
  server.on('checkContinue', handle);
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    forwarder.upgrade(request, socket, head),
  );
  const serveHttp = server.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    // Node's own listener would take a protocol that it does not know for HTTP/2.
    if (!handshakes.servesRequests(socket)) socket.destroySoon();
    else for (const listener of serveHttp) listener.call(server, socket);
  });
  server.on('OCSPRequest', handshakes.onOcspRequest);
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
    session.setTimeout(idleSessionMs, () => session.close()); // streams still open go on
  });
  server.on('sessionError', () => {});
  server.on('clientError', (_error: Error, socket: Duplex) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
    else socket.destroy();
  });
  server.on('tlsClientError', (error: Error & { code?: string }, socket) => {
    if (error.code !== unknownNameCode) options.onHandshakeFailure(reasonOf(error));
    socket.destroy();
  });

  return {
    server,
    get connections() {
      return sockets.size;
    },
    get sessions() {
      return sessions.size;
    },
    drain() {
      draining = true;
      server.close();
      for (const session of sessions) session.close();
    },
    destroy() {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function reasonOf({ code, message }: Error & { code?: string }): HandshakeFailure {
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'timeout';
  // Without a name there is no certificate, and so neither a cipher (1.2) nor a signature algorithm (1.3) to agree on.
  if (/no shared cipher|no suitable signature algorithm/i.test(message)) return 'no_name';
  return 'other';
}
