import type { Server } from 'node:http';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { EdgeSettings } from '@lockstep/contract';
import type { ClientStream } from '../../server/client-stream.ts';
import { connectionOptions } from '../../server/connection-options.ts';
import { holdToSettings, serveHttp1 } from '../../server/http1-connections.ts';
import { linger } from '../../server/linger.ts';
import type { Admission } from '../clients/admission.ts';
import { takeClientAddress } from '../clients/client-address.ts';
import type { Incidents } from '../clients/incidents.ts';
import type { Offenders } from '../clients/offenders.ts';
import { type Handshakes, handshakeTimeoutMs, unknownNameCode } from '../tls/handshakes.ts';
import type { ShownCertificates } from '../tls/shown-certificates.ts';
import type { TlsContext } from '../tls/tls-context.ts';
import type { Forwarder } from './forwarder.ts';
import { acceptedBy, admitFirst, stopAccepting } from './http-listener.ts';
import { serveHttp2 } from './http2-sessions.ts';

/** Beyond these nghttp2 breaks a stream off by itself; below, it is answered 431 like over HTTP/1.1. */
const mostListBytes = 131_072;
const mostListPairs = 4_096;
/** Of an answer, as nghttp2 reckons it: with a dozen bytes for each field. Above the largest `limits.upstreamHeadBytes`; beyond it, the session would end. */
const mostSentListBytes = 4_194_304;

export type HandshakeFailure = 'unknown_name' | 'not_held' | 'no_name' | 'timeout' | 'other';

export interface HttpsListenerOptions {
  /** Guarded: what one of them throws would end the process. */
  handshakes: Handshakes;
  forwarder: Forwarder;
  tls: TlsContext;
  shown: ShownCertificates;
  settings(): EdgeSettings;
  admission: Admission;
  offenders: Pick<Offenders, 'onCut'>;
  incidents: Incidents;
  onHandshakeFailure(reason: HandshakeFailure): void;
}

export interface HttpsListener {
  readonly server: Http2SecureServer;
  readonly connections: number;
  /** Connections that were accepted and are not over, those among them that still shake hands. */
  accepted(): Promise<number>;
  /** Of HTTP/2. */
  readonly sessions: number;
  /** The settings changed. */
  refresh(): void;
  /** Certificates changed. */
  refreshTls(): void;
  /** Ends what is over its time. To be called about every second. */
  check(now: number): void;
  /** While drained, connections are told to end after their next request, and new ones are served all the same. */
  setDrained(drained: boolean): void;
  /** Takes no more connections; what there is of them goes on. */
  stopAccepting(): void;
  /** Breaks off all connections. */
  destroy(): void;
}

/** Terminates TLS by SNI; HTTP/1.1 (with websockets) and HTTP/2 on the same port. */
export function createHttpsListener(options: HttpsListenerOptions): HttpsListener {
  const { forwarder, handshakes, settings, incidents } = options;
  const sockets = new Set<Duplex>();
  let drained = false;
  /** Whose session is being made. */
  let accepting: TLSSocket | null = null;

  const server = createSecureServer({
    allowHTTP1: true,
    SNICallback: handshakes.SNICallback,
    ALPNCallback: handshakes.ALPNCallback,
    handshakeTimeout: handshakeTimeoutMs,
    ...connectionOptions,
    settings: {
      maxConcurrentStreams: settings().limits.streams,
      maxHeaderListSize: mostListBytes,
      enableConnectProtocol: true,
    },
    maxHeaderListPairs: mostListPairs,
    maxSendHeaderBlockLength: mostSentListBytes,
    // Where it checks spaces around a value, nghttp2 drops the field without a word; here the request is refused.
    strictFieldWhitespaceValidation: false,
    // What there is too much of is passed on as over HTTP/1.1, and is no reason to fail.
    strictSingleValueFields: false,
    unknownProtocolTimeout: 5_000,
  } as Parameters<typeof createSecureServer>[0]);

  const http1 = serveHttp1(server, {
    handle(request, response) {
      if (drained) response.setHeader('connection', 'close');
      forwarder.handle(request, response);
    },
    upgrade: forwarder.upgrade,
    onRefused: incidents.onRefused,
    onCut: incidents.onCut,
    onException: incidents.onException,
  });
  // Node's own way from a stream to a request of HTTP/2 begins with the first listener for requests.
  server.removeAllListeners('stream');
  const sessions = serveHttp2(server, {
    socket: () => accepting!,
    timeouts: () => settings().timeouts,
    onCut(reason, socket) {
      incidents.onCut(reason);
      if (reason === 'resets') options.offenders.onCut(socket.remoteAddress ?? '');
    },
    onRequest: handleHttp2,
  });

  function handleHttp2(client: ClientStream): void {
    try {
      if (client.method === 'CONNECT' && client.headers[':protocol'] === 'websocket')
        forwarder.connectWebsocket(client);
      else forwarder.handle(client, client);
    } catch (error) {
      incidents.onException('request', error);
      client.breakOff();
    }
  }

  const serveHttp = server.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    try {
      takeClientAddress(socket);
      options.shown.note(socket);
      accepting = socket;
      // They are told apart by each request's own version.
      if (socket.alpnProtocol === 'http/1.0') Object.assign(socket, { alpnProtocol: 'http/1.1' });
      // Node's own listener would take a protocol that it does not know for HTTP/2.
      if (!handshakes.servesRequests(socket)) linger(socket);
      else for (const listener of serveHttp) listener.call(server, socket);
    } catch (error) {
      incidents.onException('connection', error);
      socket.destroy();
    }
  });
  admitFirst(server as unknown as Server, options.admission);
  server.on('OCSPRequest', handshakes.onOcspRequest);
  server.on('tlsClientError', (error: Error & { code?: string }, socket) => {
    if (error.code !== unknownNameCode) options.onHandshakeFailure(reasonOf(error));
    socket.destroy();
  });

  function refresh(): void {
    options.tls.serve(server);
    holdToSettings(server as unknown as Server, settings());
    server.updateSettings({ maxConcurrentStreams: settings().limits.streams });
  }
  refresh();

  return {
    server,
    get connections() {
      return sockets.size;
    },
    accepted: () => acceptedBy(server as unknown as Server),
    get sessions() {
      return sessions.count;
    },
    refresh,
    refreshTls: () => options.tls.serve(server),
    check(now) {
      sessions.check(now);
      http1.check();
    },
    setDrained(now) {
      drained = now;
      sessions.setDrained(now);
    },
    stopAccepting: () => stopAccepting(server as unknown as Server),
    destroy() {
      server.close(); // ends its timers too
      sessions.destroy();
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
