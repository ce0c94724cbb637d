import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { EdgeSettings } from '@lockstep/contract';
import type { ClientRequest, ClientResponse } from '../../server/client-message.ts';
import type { ClientStream } from '../../server/client-stream.ts';
import { sendOwnAnswer } from '../../server/own-answer.ts';
import type { Incidents } from '../clients/incidents.ts';
import type { TrustedProxies } from '../clients/trusted-proxies.ts';
import type { RouteTable, ServedRoute } from '../routing/route-table.ts';
import type { ChallengeTable } from '../tls/challenge-table.ts';
import { shownTo } from '../tls/shown-certificates.ts';
import { refusalOfClient } from './admit-client.ts';
import { allowedMethods } from './allowed-methods.ts';
import { answerChallenge } from './answer-challenge.ts';
import { answerHealth } from './answer-health.ts';
import { endWithAnswer } from './end-with-answer.ts';
import { Exchange, type Upgrade } from './exchange.ts';
import { ExchangeWatch } from './exchange-watch.ts';
import { OpenExchanges } from './open-exchanges.ts';
import { type ReadRequest, readRequest } from './read-request.ts';
import { createRefusals } from './refusals.ts';
import { askGates, sendRuled } from './ruled-answer.ts';
import { endStalled } from './stalled-exchanges.ts';
import { createUpgrades } from './upgrades.ts';

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
  connectWebsocket(client: ClientStream): void;
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

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { routes, challenges, settings, pseudonym, onAnswer, incidents } = options;
  const open = new OpenExchanges();
  const { refuse, notFound } = createRefusals({ routes, settings, incidents });
  const upgrades = createUpgrades({ forward, onDone: onAnswered });

  function onAnswered(watch: ExchangeWatch, statusCode: number): void {
    open.delete(watch);
    onAnswer(watch, statusCode);
  }

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
    if (!('stream' in response)) response.on('error', ignore);
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
    const onDone = (statusCode: number) => onAnswered(watch, statusCode);
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
    const shown = shownTo(request.socket);
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
      if (response.destroyed) onDone(499);
      else refuse(watch, { reason: 'failed' }, onDone, rules, forwarded);
    };
    askGates(
      rules,
      forwarded,
      (answer) => {
        if (response.destroyed) onDone(499);
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

  /** OPTIONS about the server as a whole, or that is to go no further (RFC 9110, sections 7.6.2 and 9.3.7). */
  function answerHere(watch: ExchangeWatch, onDone: (statusCode: number) => void): void {
    const { request, response } = watch;
    if (request.method !== 'OPTIONS') {
      refuse(watch, { reason: 'trace_ends_here' }, onDone);
      return;
    }
    response.on('close', () => onDone(204));
    sendOwnAnswer(response, optionsAnswer, optionsAnswer.fields);
  }

  return {
    handle(request, response, scheme = 'https') {
      forward(request, response, scheme, null);
    },
    upgrade: upgrades.upgrade,
    connectWebsocket: upgrades.connectWebsocket,
    get inFlight() {
      return open.size;
    },
    get tunnels() {
      return upgrades.tunnels;
    },
    check(now) {
      endStalled(open, now, settings(), incidents);
    },
    endConnections() {
      for (const { response } of open.all())
        if (!('stream' in response) && !response.headersSent) response.setHeader('connection', 'close');
    },
    closeTunnels: upgrades.closeTunnels,
  };
}

const optionsAnswer = { status: 204, fields: ['allow', allowedMethods], body: null };

function ignore(): void {}
