import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { EdgeSettings } from '@lockstep/contract';
import { connectionOptions } from '../../server/connection-options.ts';
import { holdToSettings, serveHttp1 } from '../../server/http1-connections.ts';
import { sendOwnAnswer } from '../../server/own-answer.ts';
import { requestIdOf } from '../../server/request-id.ts';
import { type Refused, requestRefusals } from '../../server/request-refusal.ts';
import { problemAnswer } from '../../server/send-problem.ts';
import type { Admission } from '../clients/admission.ts';
import type { Incidents } from '../clients/incidents.ts';
import type { TrustedProxies } from '../clients/trusted-proxies.ts';
import type { RouteTable, ServedRoute } from '../routing/route-table.ts';
import { pageInstead } from '../rules/pages.ts';
import type { ChallengeTable } from '../tls/challenge-table.ts';
import { allowedMethods } from './allowed-methods.ts';
import { answerChallenge } from './answer-challenge.ts';
import { answerHealth } from './answer-health.ts';
import { ExchangeWatch } from './exchange-watch.ts';
import type { Forwarder } from './forwarder.ts';
import { type ReadRequest, readRequest } from './read-request.ts';

const { createServer } = process.getBuiltinModule('node:http');

export interface HttpListenerOptions {
  challenges: ChallengeTable;
  routes: RouteTable;
  /** Where redirects point. */
  httpsPort: number;
  settings(): EdgeSettings;
  admission: Admission;
  incidents: Incidents;
  onAnswer(watch: ExchangeWatch, statusCode: number): void;
  trustedProxies(): TrustedProxies | null;
  /** By what name these edges sign `Via`. */
  pseudonym: string;
  /** For routes that are served here too. */
  forwarder: Pick<Forwarder, 'handle' | 'upgrade'>;
}

export interface HttpListener {
  readonly server: Server;
  /** The settings changed. */
  refresh(): void;
  /** Connections that were accepted and are not over. */
  accepted(): Promise<number>;
  /** As those of the HTTPS listener. */
  setDrained(drained: boolean): void;
  stopAccepting(): void;
  destroy(): void;
}

/** Nothing of it goes to an upstream. */
const noTracing = { make: false, sampled: false };

/** Port 80: answers challenges of any order, serves what routes want served here, sends the rest to https. */
export function createHttpListener(options: HttpListenerOptions): HttpListener {
  const { challenges, routes, httpsPort, settings, incidents, onAnswer, forwarder, pseudonym } = options;
  const portSuffix = httpsPort === 443 ? '' : `:${httpsPort}`;

  function read(request: IncomingMessage): ReadRequest | Refused {
    return readRequest(request, {
      limits: settings().limits,
      pseudonym,
      scheme: 'http',
      trustedProxies: options.trustedProxies(),
      tracing: noTracing,
    });
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const asked = read(request);
    const mode = modeOf(asked);
    if (mode === 'serve') {
      // It has deadlines of its own.
      request.socket.setTimeout(0);
      forwarder.handle(request, response, 'http');
      return;
    }
    answer(request, response, asked, mode);
    request.resume();
  }

  function modeOf(asked: ReadRequest | Refused): ServedRoute['plainHttp'] {
    if ('reason' in asked || asked.path === '*' || asked.endsHere) return 'redirect';
    const route = routes.find(asked);
    // A trusted proxy has its own TLS with the client, who would be sent round for ever.
    if (route !== null && asked.scheme === 'https') return 'serve';
    return route?.plainHttp ?? 'redirect';
  }

  function answer(
    request: IncomingMessage,
    response: ServerResponse,
    read: ReadRequest | Refused,
    mode: ServedRoute['plainHttp'],
  ): void {
    const watch = new ExchangeWatch(request, response);
    response.on('close', () => onAnswer(watch, response.statusCode));
    if ('reason' in read) {
      watch.notePeer();
      if (read.reason !== 'bad_host' || !answerHealth(request, response, drained)) refuse(watch, read);
      return;
    }
    watch.forwarded = read;
    const { host, path } = read;
    if (answerChallenge(response, path, challenges)) return;
    if (!routes.servesHost(host)) {
      if (!answerHealth(request, response, drained)) refuse(watch, { reason: 'no_route' });
    } else if (read.endsHere && request.method !== 'OPTIONS') refuse(watch, { reason: 'trace_ends_here' });
    else if (mode === 'refuse') refuse(watch, { reason: 'plain_http' });
    else if (read.endsHere) response.writeHead(204, { allow: allowedMethods }).end();
    else
      response.writeHead(308, { location: `https://${host}${portSuffix}${path}`, 'content-length': 0 }).end();
  }

  function refuse(watch: ExchangeWatch, { reason, detail }: Refused): void {
    const response = watch.response as ServerResponse;
    watch.cause = reason;
    const { status, code, detail: usual } = requestRefusals[reason];
    incidents.onRefused(reason, detail);
    if (status === 405) response.setHeader('allow', allowedMethods);
    if (status === 400 || status === 501 || status === 505) response.setHeader('connection', 'close');
    const problem = problemAnswer(status, code, usual, requestIdOf(watch.request.headers['x-request-id']));
    const { forwarded } = watch;
    const own = forwarded === null ? problem : pageInstead(problem, null, settings(), forwarded);
    sendOwnAnswer(response, own, own.fields);
  }

  const server = createServer(connectionOptions);
  let drained = false;
  serveHttp1(server, {
    handle(request, response) {
      if (drained) response.setHeader('connection', 'close');
      handle(request, response);
    },
    upgrade(request, socket, head) {
      socket.setTimeout(0);
      forwarder.upgrade(request, socket, head, 'http');
    },
    mayUpgrade: (request) => modeOf(read(request)) === 'serve',
    onRefused: incidents.onRefused,
    onCut: incidents.onCut,
    onException: incidents.onException,
  });
  admitFirst(server, options.admission);

  function refresh(): void {
    const { timeouts } = settings();
    holdToSettings(server, settings());
    // Everything is answered at once here: silence for so long is a client's that does not read, or does not end its body.
    server.timeout = Math.min(timeouts.bodyIdleMs, timeouts.writeIdleMs);
  }
  refresh();
  return {
    server,
    refresh,
    accepted: () => acceptedBy(server),
    setDrained(now) {
      drained = now;
    },
    stopAccepting: () => stopAccepting(server),
    destroy() {
      server.close(); // ends its timers too
      server.closeAllConnections();
    },
  };
}

export function acceptedBy(server: Server): Promise<number> {
  return new Promise((resolve) =>
    server.getConnections((error, count) => resolve(error === null ? count : 0)),
  );
}

/** Node's own `close` of an HTTP server breaks off connections that are just idle, and a request may be on its way. */
export function stopAccepting(server: Server): void {
  NetServer.prototype.close.call(server);
}

/** Nothing else looks at a connection before it is known whose it is, and that it may be. */
export function admitFirst(server: Server, admission: Admission): void {
  const serve = server.listeners('connection') as ((socket: unknown) => void)[];
  server.removeAllListeners('connection');
  const accept = (socket: unknown) => {
    for (const listener of serve) listener.call(server, socket);
  };
  server.on('connection', (socket) => admission.admit(socket, accept));
}
