import type { EventEmitter } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type EdgeSettings, speaksAnother } from '@lockstep/contract';
import { Http1Connection, type Http1Handlers } from './http1-connection.ts';

/** At its socket, where it costs the collector nothing. */
const connectionOf = Symbol('http1');

export interface Http1Connections {
  /** Looks whether clients that are not read are still there. To be called about every second. */
  check(): void;
}

/**
 * The HTTP/1 side of a server: answers in the order of the requests, none begun before the one before is complete (RFC 9112, section 9.3.2),
 * so that one connection never takes more than one of an upstream's; and nothing is written into an answer that is under way.
 */
export function serveHttp1(server: EventEmitter, handlers: Http1Handlers): Http1Connections {
  const held = new Set<Http1Connection>();

  function of(socket: Duplex & { [connectionOf]?: Http1Connection }): Http1Connection {
    socket[connectionOf] ??= new Http1Connection(socket as Socket, handlers, held);
    return socket[connectionOf];
  }

  function accept(request: IncomingMessage, response: ServerResponse): void {
    of(request.socket).accept(request, response);
  }

  function acceptExpecting(request: IncomingMessage, response: ServerResponse): void {
    // Node ends the connection after an answer without a 100, for the body may come or not. There may be none, or it may be here.
    const keep = () => Object.assign(response, { _expect_continue: false });
    if (announcesBody(request)) request.once('end', keep);
    else keep();
    accept(request, response);
  }

  Object.assign(server, {
    // Answered with the reason, and counted, where everything else is.
    requireHostHeader: false,
    // Node drops those beyond without a word; here they are counted.
    maxHeadersCount: 0,
    // What cannot be passed on is ignored, as RFC 9110, section 7.8 allows; so is one that has a body, or that comes while an answer is
    // under way: the bytes after it belong to the protocol that was asked for only once it is granted.
    shouldUpgradeCallback: (request: IncomingMessage) =>
      handlers.upgrade !== null &&
      upgradeOf(request) !== null &&
      request.httpVersion === '1.1' &&
      !announcesBody(request) &&
      of(request.socket).idle &&
      !speaksAnother(request) &&
      (handlers.mayUpgrade?.(request) ?? true),
  });
  server.on('request', accept);
  server.on('checkExpectation', accept);
  server.on('checkContinue', acceptExpecting);
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    try {
      handlers.upgrade!(request, socket, head);
    } catch (error) {
      handlers.onException('upgrade', error);
      socket.destroy();
    }
  });
  server.on('connect', (_request: IncomingMessage, socket: Socket) => of(socket).refuseConnect());
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => of(socket).onError(error));
  server.on('timeout', (socket: Socket) => {
    handlers.onCut('idle');
    socket.destroy();
  });
  return {
    check() {
      for (const connection of held) connection.look();
    },
  };
}

/**
 * Puts the settings of an edge in force at a server, for heads that begin from here on. The parser's own limit is above what is answered with
 * 414 or 431, so that it can be told which.
 */
export function holdToSettings(server: Server, { limits, timeouts }: EdgeSettings): void {
  Object.assign(server, {
    maxHeaderSize: limits.headBytes + 4 * limits.targetBytes,
    headersTimeout: timeouts.headMs,
    keepAliveTimeout: timeouts.keepAliveMs,
    // The deadlines of bodies count from their last progress.
    requestTimeout: 0,
    connectionsCheckingInterval: 1_000,
  });
}

/**
 * The protocols that a request wants to switch to and that are an upstream's to grant, as a list; null where there is none. Other versions of
 * HTTP, and TLS, are the edge's own affair.
 */
export function upgradeOf({ headers }: IncomingMessage): string | null {
  const wanted = (headers.upgrade ?? '').split(',').map((protocol) => protocol.trim());
  const passed = wanted.filter((protocol) => protocolToken.test(protocol) && !ownProtocol.test(protocol));
  return passed.length === 0 ? null : passed.join(', ');
}

const protocolToken = /^[!#$%&'*+.^_`|~0-9a-z-]+(?:\/[!#$%&'*+.^_`|~0-9a-z-]+)?$/i;
const ownProtocol = /^(?:h2c?|http|tls)(?:\/|$)/i;

function announcesBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}
