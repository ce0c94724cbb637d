import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { EdgeSettings } from '@lockstep/contract';
import { cutOff } from '../../server/break-off.ts';
import type { ClientRequest, ClientResponse } from '../../server/client-message.ts';
import { upgradeOf } from '../../server/http1-connections.ts';
import { linger } from '../../server/linger.ts';
import { sendOwnAnswer } from '../../server/own-answer.ts';
import { requestIdOf } from '../../server/request-id.ts';
import { type Refused, requestRefusals } from '../../server/request-refusal.ts';
import { problemAnswer, sendProblem } from '../../server/send-problem.ts';
import type { Incidents } from '../clients/incidents.ts';
import type { TrustedProxies } from '../clients/trusted-proxies.ts';
import type { RouteTable, ServedRoute } from '../routing/route-table.ts';
import { type Pages, pageInstead } from '../rules/pages.ts';
import type { RouteRules } from '../rules/route-rules.ts';
import type { ChallengeTable } from '../tls/challenge-table.ts';
import { shownTo } from '../tls/shown-certificates.ts';
import { refusalOfClient } from './admit-client.ts';
import { answerChallenge } from './answer-challenge.ts';
import { answerHealth } from './answer-health.ts';
import { Exchange, type Upgrade } from './exchange.ts';
import { ExchangeWatch } from './exchange-watch.ts';
import { fieldsOverHttp2 } from './fields-over-http2.ts';
import { OpenExchanges } from './open-exchanges.ts';
import { type ReadRequest, readRequest } from './read-request.ts';
import { askGates, sendRuled } from './ruled-answer.ts';
import { tunnel } from './tunnel.ts';

const http = process.getBuiltinModule('node:http');

export interface ForwarderOptions {
  routes: Pick<RouteTable, 'find' | 'methodsFor' | 'pagesAt' | 'servesHost'>;
  challenges: Pick<ChallengeTable, 'keyAuthorization'>;
  /** Read anew for each request. */
  settings(): EdgeSettings;
  trustedProxies(): TrustedProxies | null;
  /** By what name these edges sign `Via`. */
  pseudonym: string;
  /** No new traffic is wanted. */
  isDrained(): boolean;
  /** Called for each request that comes, where somebody wants to know. */
  readonly onRequest: ((watch: ExchangeWatch) => void) | null;
  /** Called for each answer; 499 stands for a client that did not wait for it. */
  onAnswer(watch: ExchangeWatch, statusCode: number): void;
  incidents: Pick<Incidents, 'onRefused' | 'onCut' | 'onException'>;
}

type Scheme = ReadRequest['scheme'];

/** Forwards requests to the upstreams of the route they match. */
export interface Forwarder {
  handle(request: ClientRequest, response: ClientResponse, scheme?: Scheme): void;
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer, scheme?: Scheme): void;
  /** A websocket over HTTP/2. */
  connectWebsocket(request: Http2ServerRequest, response: Http2ServerResponse): void;
  /** Requests without a complete answer; open tunnels are not among them. */
  readonly inFlight: number;
  readonly tunnels: number;
  /** Ends exchanges whose client does not get on. To be called about every second. */
  check(now: number): void;
  /** Answers under way over HTTP/1 say that they are the last of their connection, where that can still be said. */
  endConnections(): void;
  /** Breaks off what is still open: tunnels. */
  closeTunnels(): void;
}

export const allowedMethods = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { routes, challenges, settings, pseudonym, onAnswer, incidents } = options;
  const tunnels = new Set<Duplex>();
  const open = new OpenExchanges();

  function forward(
    request: ClientRequest,
    response: ClientResponse,
    scheme: Scheme,
    upgrade: Upgrade | null,
  ): ExchangeWatch {
    const watch = new ExchangeWatch(request, response);
    open.add(watch);
    options.onRequest?.(watch);
    // What is written to an answer that was broken off a moment ago is nobody's loss.
    response.on('error', ignore);
    try {
      serve(watch, scheme, upgrade);
    } catch (error) {
      open.delete(watch);
      throw error;
    }
    return watch;
  }

  function serve(watch: ExchangeWatch, scheme: Scheme, upgrade: Upgrade | null): void {
    const { request, response } = watch;
    const onDone = (statusCode: number) => {
      open.delete(watch);
      onAnswer(watch, statusCode);
    };
    const { limits, traceparent: tracing } = settings();
    const forwarded = readRequest(request, {
      tracing,
      limits,
      pseudonym,
      scheme,
      trustedProxies: options.trustedProxies(),
      asTunnel: upgrade !== null && 'stream' in request,
    });
    if ('reason' in forwarded) {
      watch.notePeer();
      if (forwarded.reason !== 'bad_host' || !answeredHealth(watch, onDone)) refuse(watch, forwarded, onDone);
      return;
    }
    watch.forwarded = forwarded;
    if (forwarded.hasBody && 'stream' in request) endWithAnswer(request);
    const { host, path } = forwarded;
    if (answerChallenge(response, path, challenges)) {
      response.on('close', () => onDone(200));
      return;
    }
    if (forwarded.endsHere && routes.servesHost(host)) {
      answerHere(watch, onDone);
      return;
    }
    const route = path === '*' ? null : routes.find(forwarded);
    if (route === null) {
      if (routes.servesHost(host) || !answeredHealth(watch, onDone))
        refuse(watch, notFound(forwarded), onDone, null, forwarded);
      return;
    }
    const shown = shownTo('stream' in request ? request.stream.session : request.socket);
    if (shown !== null && host !== shown.name && !shown.covers(host)) {
      refuse(watch, { reason: 'misdirected' }, onDone, route.rules, forwarded);
      return;
    }
    watch.route = route;
    if (route.clientCertificates !== null) {
      const reason = refusalOfClient(route.clientCertificates, shown, forwarded);
      if (reason !== null) {
        refuse(watch, { reason }, onDone, route.rules, forwarded);
        return;
      }
    }
    if (route.rules === null) {
      forwardTo(route, watch, forwarded, onDone, upgrade);
      return;
    }
    const { rules } = route;
    const refuseFailed = (error: unknown) => {
      incidents.onException('request', error);
      refuse(watch, { reason: 'failed' }, onDone, rules, forwarded);
    };
    askGates(
      rules,
      forwarded,
      (answer) => {
        if (isGone(response)) onDone(499);
        else if (answer === null) {
          for (const rule of rules.requests) rule.change(forwarded);
          forwardTo(route, watch, forwarded, onDone, upgrade);
        } else if ('reason' in answer) refuse(watch, answer, onDone, rules, forwarded);
        else {
          response.on('close', () => onDone(answer.status));
          sendRuled(response, answer, rules, forwarded);
        }
      },
      refuseFailed,
    );
  }

  function answeredHealth(
    { request, response }: ExchangeWatch,
    onDone: (statusCode: number) => void,
  ): boolean {
    if (!answerHealth(request, response, options.isDrained())) return false;
    response.on('close', () => onDone(response.statusCode));
    return true;
  }

  function notFound(forwarded: ReadRequest): Refused {
    const methods = forwarded.path === '*' ? [] : routes.methodsFor(forwarded);
    if (methods.length === 0) return { reason: 'no_route' };
    return { reason: 'method_not_served', fields: ['allow', methods.join(', ')] };
  }

  function forwardTo(
    { upstreams, rules }: ServedRoute,
    watch: ExchangeWatch,
    forwarded: ReadRequest,
    onDone: (statusCode: number) => void,
    upgrade: Upgrade | null,
  ): void {
    const { request, response } = watch;
    const { bodyBytes } = upstreams;
    if (bodyBytes !== null && Number(request.headers['content-length'] ?? 0) > bodyBytes) {
      refuse(watch, { reason: 'body_too_large' }, onDone, rules, forwarded);
      return;
    }
    const exchange = new Exchange({
      request,
      response,
      upstreams,
      rules,
      forwarded,
      settings: settings(),
      onDone,
      upgrade,
    });
    watch.body = exchange.body;
    watch.exchange = exchange;
    exchange.start();
  }

  function refuse(
    watch: ExchangeWatch,
    { reason, detail, fields }: Refused,
    onDone: (statusCode: number) => void,
    rules: RouteRules | null = null,
    forwarded: ReadRequest | null = null,
  ): void {
    const { status, code, detail: usual } = requestRefusals[reason];
    const { request, response } = watch;
    watch.cause = reason;
    incidents.onRefused(reason, detail);
    response.on('close', () => onDone(status));
    // Where a message ends is not clear, or was said in a language that is not spoken here.
    if (!('stream' in response) && endsConnection.has(reason)) response.setHeader('connection', 'close');
    if (reason === 'trace_ends_here') response.setHeader('allow', allowedMethods);
    if ('stream' in request && !request.stream.endAfterHeaders) endWithAnswer(request);
    const id = forwarded?.requestId ?? requestIdOf(request.headers['x-request-id']);
    const words = detail === undefined ? usual : sentence(detail);
    const answer = problemAnswer(status, code, words, id, fields);
    if (forwarded === null) sendOwnAnswer(response, answer, answer.fields);
    else
      sendRuled(
        response,
        pageInstead(answer, pagesFor(rules, forwarded, status), settings(), forwarded),
        rules,
        forwarded,
      );
  }

  /** Where no route was found, those that the host's routes have. */
  function pagesFor(rules: RouteRules | null, { host }: ReadRequest, status: number): Pages | null {
    return rules === null ? routes.pagesAt(host, status) : rules.pages;
  }

  /** OPTIONS about the server as a whole, or that is to go no further (RFC 9110, sections 7.6.2 and 9.3.7). */
  function answerHere(watch: ExchangeWatch, onDone: (statusCode: number) => void): void {
    const { request, response } = watch;
    if (request.method !== 'OPTIONS') {
      refuse(watch, { reason: 'trace_ends_here' }, onDone);
      return;
    }
    response.on('close', () => onDone(204));
    (response as ServerResponse).writeHead(204, { allow: allowedMethods });
    response.end();
  }

  function upgrade(request: IncomingMessage, socket: Socket, head: Buffer, scheme: Scheme = 'https'): void {
    socket.on('error', () => socket.destroy());
    if (head.length > 0) socket.unshift(head);
    // Stands in until the upstream has agreed: whatever else it says is an ordinary answer.
    const response = new http.ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    const onDrain = () => response.emit('drain');
    socket.on('drain', onDrain);
    // What Node does for answers on connections of its own.
    response.on('finish', () => {
      socket.off('drain', onDrain);
      response.detachSocket(socket);
      process.nextTick(() => response.emit('close'));
      linger(socket);
    });
    const onAgreed: Upgrade['onAgreed'] = (fields, protocol, upstream) => {
      socket.off('drain', onDrain);
      response.detachSocket(socket);
      open.delete(watch);
      onAnswer(watch, 101);
      tunnels.add(socket);
      let text = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
      for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
      socket.write(`${text}\r\n`, 'latin1');
      tunnel(socket, upstream, () => tunnels.delete(socket));
    };
    const watch = forward(request, response, scheme, { protocols: upgradeOf(request)!, onAgreed });
  }

  function connectWebsocket(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const { stream } = request;
    // The key shows an upstream of HTTP/1.1 that it is spoken to by a client of websockets; HTTP/2 has none.
    request.rawHeaders.push('sec-websocket-key', randomBytes(16).toString('base64'));
    const onAgreed: Upgrade['onAgreed'] = (fields, _protocol, upstream) => {
      open.delete(watch);
      onAnswer(watch, 200);
      if (stream.destroyed || stream.closed) {
        upstream.destroy();
        return;
      }
      tunnels.add(stream);
      stream.respond({ ':status': 200, ...fieldsOverHttp2(fields, keyFields) });
      // As a connection that is reset (RFC 8441, section 5).
      const reset = () => {
        if (!upstream.readableEnded) stream.close(constants.NGHTTP2_CANCEL);
      };
      upstream.on('error', reset);
      upstream.on('close', reset);
      // Node ends both sides of a stream that was reset as if they had come to their ends.
      stream.on('close', () => {
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) upstream.destroy();
      });
      tunnel(stream, upstream, () => tunnels.delete(stream));
    };
    const watch = forward(request, response, 'https', { protocols: 'websocket', onAgreed });
  }

  function cut(watch: ExchangeWatch, reason: 'stalled_body' | 'stalled_reader'): void {
    const { request, response } = watch;
    if (reason === 'stalled_body' && !response.headersSent) {
      watch.cause = 'body_timeout';
      incidents.onRefused('body_timeout');
      const { status, code, detail } = requestRefusals.body_timeout;
      if (!('stream' in response)) response.setHeader('connection', 'close');
      sendProblem(response, status, code, detail, requestIdOf(request.headers['x-request-id']));
      return;
    }
    incidents.onCut(reason);
    cutOff(response);
  }

  return {
    handle(request, response, scheme = 'https') {
      forward(request, response, scheme, null);
    },
    upgrade,
    connectWebsocket,
    get inFlight() {
      return open.size;
    },
    get tunnels() {
      return tunnels.size;
    },
    check(now) {
      const { timeouts, limits } = settings();
      const hurried = hurry(timeouts, limits);
      for (const watch of open.all()) {
        try {
          const stall = watch.check(now, watch.exchange?.inDemand ? hurried : timeouts);
          if (stall !== null) cut(watch, stall);
        } catch (error) {
          incidents.onException('deadline', error);
          cutOff(watch.response);
        }
      }
    },
    endConnections() {
      for (const { response } of open.all())
        if (!('stream' in response) && !response.headersSent) response.setHeader('connection', 'close');
    },
    closeTunnels() {
      for (const socket of tunnels) socket.destroy();
    },
  };
}

/** What only a handshake over HTTP/1.1 has. */
const keyFields = new Set(['sec-websocket-accept']);

const endsConnection = new Set<Refused['reason']>([
  'bad_framing',
  'body_too_large',
  'unknown_coding',
  'unknown_version',
  'parse_error',
]);

/** A stream whose answer is complete needs no more of the request (RFC 9113, section 8.1). */
function endWithAnswer({ stream }: Http2ServerRequest): void {
  stream.once('finish', () => {
    // Later: a head without content is not out yet, and closing now would take it back.
    if (!stream.readableEnded) setImmediate(() => stream.closed || stream.close(0)); // NO_ERROR
  });
}

/** Who stands still while others wait for a connection has to get on before those have waited for nothing. */
function hurry(
  timeouts: EdgeSettings['timeouts'],
  { upstreamPendingMs }: EdgeSettings['limits'],
): typeof timeouts {
  const mostMs = upstreamPendingMs / 2;
  return {
    ...timeouts,
    bodyIdleMs: Math.min(timeouts.bodyIdleMs, mostMs),
    writeIdleMs: Math.min(timeouts.writeIdleMs, mostMs),
  };
}

/** The client went away while a gate took its time. */
function isGone(response: ClientResponse): boolean {
  return 'stream' in response ? response.stream.destroyed : response.destroyed;
}

function ignore(): void {}

function sentence(words: string): string {
  return `${words[0]!.toUpperCase()}${words.slice(1)}.`;
}
