import type { FeedState, UpstreamState } from '@lockstep/contract';
import type { EngineProcesses } from '../engine/engine.ts';
import type { Counts, EngineFigures, FigureLabels } from '../engine/figures.ts';
import { type AskOutcome, askOutcomes } from './asks.ts';
import { Counter, Gauge, Registry } from './prom-client.ts';
import { createRequestMetrics } from './request-metrics.ts';

export interface EdgeMetrics {
  readonly contentType: string;
  countAsk(outcome: AskOutcome): void;
  /** Adds up what the processes of the engine say; counters go on when one is replaced. */
  render(figures: Map<number, EngineFigures>, now: EdgeGauges): Promise<string>;
}

export interface EdgeGauges {
  appliedRevision: number | null;
  processes: EngineProcesses;
  hosts: number;
  refusals: number;
  /** Those of routes that say how the health of their upstreams is known. */
  upstreams: readonly UpstreamState[];
  checks: { readonly passed: number; readonly failed: number };
  held: boolean;
  unsaved: number;
  /** Whether commits are saved in the data folder, rather than in a copy that ends with the process. */
  persistent: boolean;
  feed: FeedState;
  /** Since when what is in force has not been what the store says; null: it is. */
  behindSince: number | null;
  /** Of the supervisor. */
  exceptions: Readonly<Record<string, number>>;
}

/** Upstreams are named in a label: there may be very many. */
const mostNamed = 50;

export function createEdgeMetrics(labels: FigureLabels): EdgeMetrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `lockstep_edge_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string) => new Gauge({ name: `lockstep_edge_${name}`, help, registers });

  const answers = counter('answers_total', 'Answers by class of status', ['status']);
  const requests = createRequestMetrics(registry);
  const failures = counter('handshake_failures_total', 'TLS handshakes that failed, by reason', ['reason']);
  const failed = counter(
    'failed_exchanges_total',
    'Answers of upstreams that did not reach the client whole',
    ['cause'],
  );
  for (const cause of labels.failures) failed.inc({ cause }, 0);
  const refused = counter('refused_requests_total', 'Requests that the edge answered itself, by reason', [
    'reason',
  ]);
  for (const reason of labels.refusedRequests) refused.inc({ reason }, 0);
  const cut = counter('cut_connections_total', 'Clients’ connections and answers ended early, by reason', [
    'reason',
  ]);
  for (const reason of labels.cuts) cut.inc({ reason }, 0);
  const exceptions = counter('exceptions_total', 'Unexpected errors that were caught, by place', ['place']);
  const built = counter('certificates_built_total', 'TLS contexts built');
  const connections = gauge('connections', 'Open TLS connections');
  const contexts = gauge('contexts', 'Built TLS contexts kept by the workers');
  const holding = gauge('held_handshakes', 'Handshakes that wait for a certificate');
  const inFlight = gauge('requests_in_flight', 'Requests without a complete answer');
  const tunnels = gauge('tunnels', 'Open websockets');
  const sessions = gauge('http2_sessions', 'Open HTTP/2 sessions');
  const toUpstreams = gauge(
    'upstream_connections',
    'Open connections to upstreams, besides those of websockets',
  );
  const pending = gauge('upstream_pending', 'Requests that wait for a connection to their upstream');
  const repeated = counter(
    'repeated_requests_total',
    'Requests that were sent to an upstream once more, by reason; `no_budget`: those that were not',
    ['reason'],
  );
  const rateBuckets = gauge('rate_limit_buckets', 'Clients, or values of headers, that rate limits remember');
  const passwordChecks = counter(
    'password_checks_total',
    'Passwords of basicAuth that were checked, besides those that were remembered',
  );
  const compressing = gauge('compressing', 'Answers that are being compressed');
  const upstreams = new Gauge({
    name: 'lockstep_edge_upstreams',
    help: 'Upstreams of routes with `health`, by state',
    labelNames: ['state'],
    registers,
  });
  const unhealthy = new Gauge({
    name: 'lockstep_edge_upstream_unhealthy',
    help: `1 for each of the first ${mostNamed} unhealthy upstreams`,
    labelNames: ['upstream'],
    registers,
  });
  const checks = counter('upstream_checks_total', 'Active checks of upstreams, by outcome', ['outcome']);
  const asks = counter('on_demand_asks_total', 'Unknown hosts that handshakes named, by outcome', [
    'outcome',
  ]);
  for (const outcome of askOutcomes) asks.inc({ outcome }, 0);
  const applied = gauge('applied_revision', 'The revision that every ready worker has applied');
  const ready = gauge('workers_ready', 'Workers that listen and have a configuration');
  const restarts = gauge('worker_restarts', 'Workers that died and were replaced');
  const hosts = gauge('hosts', 'Hosts with a route');
  const refusals = gauge('refusals', 'Records that could not be put to use');
  const held = gauge('snapshot_held', '1 while a snapshot is held back');

  const unsaved = gauge('unsaved_commits', 'Commits in force that the disk did not take');

  const persistent = gauge(
    'disk_writable',
    '0 while the data folder cannot be written and a copy is worked on',
  );
  const hung = gauge('workers_hung', 'Workers that do not answer');
  const kills = gauge('worker_kills', 'Hung workers that were killed and replaced');
  const age = gauge(
    'configuration_age_seconds',
    'How long what is in force has not been what the store says; 0 while it is',
  );
  const feed = new Gauge({
    name: 'lockstep_edge_feed_state',
    help: '1 for how following the store stands',
    labelNames: ['state'],
    registers,
  });
  const syncing = gauge('sync_records', 'Records of a snapshot that were read so far; 0 while none is read');

  let checked = { passed: 0, failed: 0 };
  const seen = new Map<number, EngineFigures>();
  let ownExceptions: Counts = {};

  function count(pid: number, now: EngineFigures): void {
    const before = seen.get(pid);
    grow(answers, 'status', now.answers, before?.answers);
    requests.count(now.requests, before?.requests);
    grow(failures, 'reason', now.handshakeFailures, before?.handshakeFailures);
    grow(failed, 'cause', now.failures, before?.failures);
    grow(refused, 'reason', now.refusedRequests, before?.refusedRequests);
    grow(cut, 'reason', now.cuts, before?.cuts);
    grow(repeated, 'reason', now.repeats, before?.repeats);
    grow(exceptions, 'place', now.exceptions, before?.exceptions);
    passwordChecks.inc(now.rules.passwordChecks - (before?.rules.passwordChecks ?? 0));
    built.inc(now.certificatesBuilt - (before?.certificatesBuilt ?? 0));
  }

  function showUpstreams(states: readonly UpstreamState[]): void {
    for (const state of ['healthy', 'unhealthy', 'unknown'])
      upstreams.set({ state }, states.filter((one) => one.state === state).length);
    unhealthy.reset();
    for (const { url } of states.filter(({ state }) => state === 'unhealthy').slice(0, mostNamed))
      unhealthy.set({ upstream: url }, 1);
  }

  return {
    contentType: registry.contentType,
    countAsk: (outcome) => asks.inc({ outcome }),
    async render(figures, now) {
      const all = [...figures.values()];
      const sum = (of: (one: EngineFigures) => number) => all.reduce((total, one) => total + of(one), 0);
      for (const [pid, one] of figures) count(pid, one);
      seen.clear();
      for (const [pid, one] of figures) seen.set(pid, one);
      requests.setHosts(all.map((one) => one.requests.hosts));
      connections.set(sum((one) => one.connections));
      contexts.set(sum((one) => one.contexts));
      holding.set(sum((one) => one.held));
      inFlight.set(sum((one) => one.inFlight));
      tunnels.set(sum((one) => one.tunnels));
      sessions.set(sum((one) => one.sessions));
      toUpstreams.set(sum((one) => one.upstreams.open));
      pending.set(sum((one) => one.upstreams.pending));
      rateBuckets.set(sum((one) => one.rules.rateBuckets));
      compressing.set(sum((one) => one.rules.compressing));
      applied.set(now.appliedRevision ?? 0);
      ready.set(now.processes.ready);
      restarts.set(now.processes.restarts);
      hosts.set(now.hosts);
      refusals.set(now.refusals);
      showUpstreams(now.upstreams);
      grow(checks, 'outcome', { ...now.checks }, { ...checked });
      checked = { ...now.checks };
      held.set(now.held ? 1 : 0);
      unsaved.set(now.unsaved);
      persistent.set(now.persistent ? 1 : 0);
      hung.set(now.processes.hung);
      kills.set(now.processes.kills);
      age.set(now.behindSince === null ? 0 : Math.max(0, (Date.now() - now.behindSince) / 1_000));
      for (const state of ['following', 'syncing', 'broken']) {
        feed.set({ state }, state === now.feed.state ? 1 : 0);
      }
      syncing.set(now.feed.records ?? 0);
      grow(exceptions, 'place', now.exceptions, ownExceptions);
      ownExceptions = { ...now.exceptions };
      return registry.metrics();
    },
  };
}

/** Adds what has come since `before`. */
function grow(counter: InstanceType<typeof Counter>, label: string, now: Counts, before: Counts = {}): void {
  for (const [value, times] of Object.entries(now))
    counter.inc({ [label]: value }, times - (before[value] ?? 0));
}
