import type { IncomingMessage } from 'node:http';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Forwarder } from '../proxy/forwarder.ts';
import type { CertificateTable } from './certificate-table.ts';

/** Alert `unrecognized_name`, fatal (RFC 8446, section 6; RFC 6066, section 3), as a plain record. */
const unrecognizedName = Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x70]);

const idleSessionMs = 600_000;

export type HandshakeFailure = 'unknown_name' | 'no_name' | 'timeout' | 'other';

export interface HttpsListenerOptions {
  certificates: CertificateTable;
  forwarder: Forwarder;
  /** 48 bytes, the same for all workers of the edge: a session resumes at any of them. */
  ticketKeys: Buffer;
  onHandshakeFailure(reason: HandshakeFailure): void;
}

export interface HttpsListener {
  readonly server: Http2SecureServer;
  readonly connections: number;
  /** Takes no more connections, and tells those there are that this is their last request. */
  drain(): void;
  /** Breaks off all connections. */
  destroy(): void;
}

/** Terminates TLS by SNI; HTTP/1.1 (with websockets) and HTTP/2 on the same port. */
export function createHttpsListener(options: HttpsListenerOptions): HttpsListener {
  const { certificates, forwarder } = options;
  const sockets = new Set<Duplex>();
  const sessions = new Set<ServerHttp2Session>();
  let draining = false;

  function chooseContext(
    this: TLSSocket & { _parent?: Duplex },
    name: string,
    callback: (error: Error | null, context?: SecureContext) => void,
  ): void {
    const context = certificates.find(name.toLowerCase());
    if (context !== null) {
      callback(null, context);
      return;
    }
    options.onHandshakeFailure('unknown_name');
    const error = Object.assign(new Error('unrecognized name'), { code: 'LOCKSTEP_UNKNOWN_NAME' });
    // Node has no call for this alert, and an error alone closes without one. Nothing has been sent yet, so a plain record on the
    // socket underneath is what the client reads first.
    const raw = this._parent;
    if (raw === undefined) callback(error);
    else raw.write(unrecognizedName, () => callback(error));
  }

  const server = createSecureServer({
    allowHTTP1: true,
    minVersion: 'TLSv1.2',
    SNICallback: chooseContext,
    sessionIdContext: 'lockstep',
    ticketKeys: options.ticketKeys,
    handshakeTimeout: 10_000,
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

  server.on('request', (request, response) => {
    if (draining && request.httpVersionMajor === 1) response.setHeader('connection', 'close');
    forwarder.handle(request, response);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    forwarder.upgrade(request, socket, head),
  );
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  });
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
    if (error.code !== 'LOCKSTEP_UNKNOWN_NAME') options.onHandshakeFailure(reasonOf(error));
    socket.destroy();
  });

  return {
    server,
    get connections() {
      return sockets.size;
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
