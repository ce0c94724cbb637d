import { createHash } from 'node:crypto';
import { type Boundary, defaultEdgeSettings, type Traffic } from '@lockstep/contract';
import { createDeniedAddresses } from '@lockstep/pki/denied-addresses';
import type { Logger } from 'pino';
import type { EngineFigures } from '../../engine/figures.ts';
import type { HealthVerdict } from '../../engine/upstream-health.ts';
import type { Feed } from '../../feed/feed.ts';
import { createAdmission } from '../clients/admission.ts';
import { createConnectionLimits } from '../clients/connection-limits.ts';
import { createDescriptorWatch } from '../clients/descriptor-watch.ts';
import { createIncidents } from '../clients/incidents.ts';
import { createOffenders } from '../clients/offenders.ts';
import { createProxiedConnections } from '../clients/proxied-connections.ts';
import { createTrustedProxies, type TrustedProxies } from '../clients/trusted-proxies.ts';
import { createForwarder } from '../http/forwarder.ts';
import { createHttpListener } from '../http/http-listener.ts';
import { createHttpsListener, type HandshakeFailure } from '../http/https-listener.ts';
import { createAccessLog, type OpenDestination } from '../observation/access-log.ts';
import { createObserver } from '../observation/observer.ts';
import { createHeldHandshakes } from '../on-demand/held-handshakes.ts';
import { createRouteTable } from '../routing/route-table.ts';
import { createPasswordChecks } from '../rules/password-checks.ts';
import { createRateBuckets, type Taken } from '../rules/rate-buckets.ts';
import { createCertificateChecker } from '../tls/certificate-checker.ts';
import { createCertificateTable } from '../tls/certificate-table.ts';
import { createChallengeTable } from '../tls/challenge-table.ts';
import { guardHandshakes } from '../tls/guard-handshakes.ts';
import { createHandshakes } from '../tls/handshakes.ts';
import { createShownCertificates } from '../tls/shown-certificates.ts';
import { createStapleTable } from '../tls/staple-table.ts';
import { createTicketKeys } from '../tls/ticket-keys.ts';
import { createTlsContext } from '../tls/tls-context.ts';
import { createFailureLog } from '../upstreams/failure-log.ts';
import { createHealthBoard, type HealthNews } from '../upstreams/health-board.ts';
import { upstreamLimitsOf } from '../upstreams/upstream-pool.ts';
import { createUpstreams } from '../upstreams/upstreams.ts';
import { createConfiguration } from './configuration.ts';
import { createFleetSettings } from './fleet-settings.ts';
import { followFeed } from './follow-feed.ts';
import { createWorkerDrain, type DrainOptions } from './worker-drain.ts';
import type { WorkerSettings, WorkerStatus } from './worker-message.ts';
import { createWorkerPorts } from './worker-ports.ts';

const watchIntervalMs = 1_000;

export interface WorkerOptions {
  settings: WorkerSettings;
  open(sealed: string, context: string): string;
  feed: Feed;
  log: Logger;
  boundary: Boundary;
  openLog: OpenDestination;
  onListening(): void;
  onStatus(status: WorkerStatus): void;
  /** A client's handshake waits for a host that is not known. */
  onAsk(host: string, client: string): void;
  /** No handshake waits for the host any more. */
  onEnough(host: string): void;
  /** What it let through, of limits that the workers of an edge share. */
  onTook(taken: Taken): void;
  /** Hears of the upstreams whose health it needs to know. */
  health: HealthNews;
}

export interface Worker {
  /** Rejects with `bad_configuration` when a port cannot be bound; else ends with the worker. */
  run(): Promise<void>;
  figures(): EngineFigures;
  /** A host that was asked about is refused; to one client, or to all. */
  refuse(host: string, client: string | null): void;
  /** What other workers let through. */
  took(taken: Taken): void;
  /** How upstreams are that it watches. */
  tellHealth(verdicts: readonly HealthVerdict[]): void;
  /** Binds the ports, if it still waits for a configuration with that. */
  listen(): void;
  /** What was served of a route, of each of `trafficMinutes`. */
  traffic(route: string): Traffic[];
  reopenLogs(): void;
  /** As those of `WorkerDrain`. */
  setDrained(drained: boolean): void;
  drain(how?: DrainOptions): Promise<void>;
}

/** One process's share of an edge: owns the listeners, serves from memory, follows its feed. */
export function createWorker(options: WorkerOptions): Worker {
  const { settings, open, feed, log, boundary, onListening, onStatus } = options;
  const { config } = settings;
  const handshakeFailures: Partial<Record<HandshakeFailure, number>> = {};
  const stopped = new AbortController();
  let statusDue = false;

  function onHandshakeFailure(reason: HandshakeFailure): void {
    handshakeFailures[reason] = (handshakeFailures[reason] ?? 0) + 1;
  }

  /** Once a turn, however many commits were put in force in it. */
  function sendStatus(): void {
    if (statusDue) return;
    statusDue = true;
    setImmediate(
      boundary.guard('status', () => {
        statusDue = false;
        onStatus({ position: configuration.position, refusals: configuration.refusals });
      }),
    );
  }

  const observer = createObserver({
    accessLog: createAccessLog({ node: config.node, log, open: options.openLog }),
  });
  const failures = createFailureLog(log);
  const incidents = createIncidents(log, boundary);
  const edgeSettings = () => fleet.edge;
  let trustedProxies: TrustedProxies | null = null;
  let upstreamLimits = upstreamLimitsOf(defaultEdgeSettings);
  let denied = createDeniedAddresses(defaultEdgeSettings.deny, settings.ownServices);
  const health = createHealthBoard(options.health, settings.health);
  const upstreams = createUpstreams({
    limits: () => upstreamLimits,
    denied: () => denied,
    clientCertificate: (id) => certificates.material(id),
    onFailure: failures.note,
    health,
    secret: settings.edgeKey,
  });
  const buckets = createRateBuckets({ tell: config.workers > 1 ? options.onTook : null });
  const compressing = { open: 0 };
  const passwords = createPasswordChecks({ onException: incidents.onException });
  const certificates = createCertificateTable({
    open,
    maxContexts: config.certificateCacheSize,
    onRefused: sendStatus,
  });
  const checker = createCertificateChecker({
    certificates,
    guard: (work) => boundary.guard('certificates', work),
  });
  const routes = createRouteTable({
    upstreams,
    hasCertificate: certificates.covers,
    services: { buckets, compressing, passwords, open },
  });
  const challenges = createChallengeTable({ open });
  const staples = createStapleTable();
  const tickets = createTicketKeys({
    open,
    own: Buffer.from(settings.ticketKeys),
    boundary,
    digest: () => routes.askingDigest,
  });
  const held = createHeldHandshakes({
    boundary,
    find: certificates.find,
    onAsk: options.onAsk,
    onEnough: options.onEnough,
  });
  const fleet = createFleetSettings({
    onDefaults: routes.setDefaults,
    onOnDemand(now) {
      routes.setCatchAll(now?.upstreams ?? []);
      if (now === null) held.refuseAll();
    },
    onEdge(edge) {
      upstreamLimits = upstreamLimitsOf(edge);
      denied = createDeniedAddresses(edge.deny, settings.ownServices);
      const { trustedProxies: proxies = [] } = edge;
      trustedProxies = proxies.length === 0 ? null : createTrustedProxies(proxies);
      proxied.refresh();
      upstreams.renew();
      observer.configure(edge.accessLog ?? null);
      https.refresh();
      http.refresh();
    },
  });
  const configuration = createConfiguration({
    routes,
    certificates,
    checker,
    challenges,
    staples,
    settings: fleet,
    tickets,
  });
  const pseudonym = pseudonymOf(settings.edgeKey);
  const forwarder = createForwarder({
    routes,
    challenges,
    settings: edgeSettings,
    trustedProxies: () => trustedProxies,
    isDrained: () => draining.isDrained,
    pseudonym,
    get onRequest() {
      return observer.onRequest;
    },
    onAnswer: observer.onAnswer,
    incidents,
  });
  const unnamed = () => edgeSettings().tls?.noSniCertificate ?? certificates.idForAddresses();
  const handshakes = createHandshakes({
    certificates,
    challenges,
    staples,
    routes,
    onDemand: () => fleet.onDemand,
    held,
    unnamed,
    onRefused: onHandshakeFailure,
  });
  const proxied = createProxiedConnections({ settings: edgeSettings, onCut: incidents.onCut });
  const offenders = createOffenders({ settings: edgeSettings });
  const admission = createAdmission({
    proxied,
    limits: createConnectionLimits({
      limits: () => fleet.edge.limits,
      rests: offenders.rests,
      onRefused: incidents.onCut,
    }),
  });
  const https = createHttpsListener({
    handshakes: guardHandshakes(handshakes, boundary),
    forwarder,
    tls: createTlsContext({ settings: edgeSettings, certificates, unnamed, tickets }),
    shown: createShownCertificates({ certificates, unnamed }),
    settings: edgeSettings,
    admission,
    offenders,
    incidents,
    onHandshakeFailure,
  });
  const http = createHttpListener({
    trustedProxies: () => trustedProxies,
    pseudonym,
    challenges,
    routes,
    httpsPort: config.publicHttpsPort ?? settings.https.port,
    settings: edgeSettings,
    admission,
    incidents,
    onAnswer: observer.onAnswer,
    forwarder,
  });
  const descriptors = createDescriptorWatch({ onNone: () => incidents.onCut('no_descriptors') });
  const watch = setInterval(() => {
    try {
      const now = Date.now();
      forwarder.check(now);
      https.check(now);
      descriptors.check();
    } catch (error) {
      incidents.onException('watch', error);
    }
  }, watchIntervalMs).unref();

  const draining = createWorkerDrain({ https, http, forwarder, held, end });
  if (settings.drained) draining.setDrained(true);
  const ports = createWorkerPorts({ https, http, settings, log, onListening });

  function run(): Promise<void> {
    if (settings.listenAtOnce) void ports.bind();
    const { signal } = stopped;
    const followed = followFeed({ feed, configuration, ports, onApplied, boundary, signal });
    return Promise.race([followed, ports.failed]);
  }

  function onApplied(): void {
    https.refreshTls();
    sendStatus();
    held.proceed();
  }

  return {
    run,
    listen: () => void ports.bind(),
    figures: () => ({
      answers: { ...observer.answers },
      requests: observer.figures(),
      handshakeFailures: { ...handshakeFailures },
      certificatesBuilt: certificates.built,
      connections: https.connections,
      contexts: certificates.contexts,
      held: held.count,
      failures: { ...failures.counts },
      refusedRequests: { ...incidents.refused },
      cuts: { ...incidents.cut },
      upstreams: upstreams.figures(),
      repeats: { ...upstreams.repeats },
      rules: {
        rateBuckets: buckets.size,
        passwordChecks: passwords.looks,
        compressing: compressing.open,
      },
      inFlight: forwarder.inFlight,
      tunnels: forwarder.tunnels,
      sessions: https.sessions,
      exceptions: { ...boundary.exceptions },
    }),
    refuse: held.refuse,
    tellHealth: health.tell,
    took: buckets.takenElsewhere,
    traffic: observer.traffic,
    reopenLogs: observer.reopen,
    setDrained: draining.setDrained,
    drain: (how = { patient: false, limitMs: config.drainTimeoutMs }) => draining.drain(how),
  };

  async function end(): Promise<void> {
    held.refuseAll();
    stopped.abort();
    checker.close();
    forwarder.closeTunnels();
    https.destroy();
    http.destroy();
    clearInterval(watch);
    buckets.close();
    passwords.close();
    await observer.close();
    await upstreams.close();
  }
}

/** The same for all edges of a fleet, and no other's: what has passed one of them has passed these. */
function pseudonymOf(edgeKey: string): string {
  return `lockstep-${createHash('sha256').update(`via ${edgeKey}`).digest('hex').slice(0, 12)}`;
}
