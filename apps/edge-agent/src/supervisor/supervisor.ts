import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import {
  type Address,
  AppError,
  createBoundary,
  defaultEdgeSettings,
  formatAddress,
  type Kind,
  type NodeReport,
  type Refusal,
} from '@lockstep/contract';
import { createEdgeSealer } from '@lockstep/pki/sealer';
import { createConfigCache } from '@lockstep/store/cache';
import type { Logger } from 'pino';
import type { CreateEngine, Engine } from '../engine/engine.ts';
import type { Feed } from '../feed/feed.ts';
import { type EdgeConfig, type GivenSockets, withDefaults } from '../startup/config.ts';
import { version } from '../startup/version.ts';
import { createAdminListener } from './admin-listener.ts';
import { createAsks } from './asks.ts';
import { createEdgeMetrics } from './edge-metrics.ts';
import { edgeReadiness } from './edge-readiness.ts';
import { createClientCertificates } from './health/client-certificates.ts';
import { createDeniedNow } from './health/denied-now.ts';
import { reportedUpstreams } from './health/reported-upstreams.ts';
import { createToldUpstreams } from './health/told-upstreams.ts';
import { createUpstreamHealth } from './health/upstream-health.ts';
import { createListenerWatch } from './listener-watch.ts';
import { createNodeDrain, type NodeDrain } from './node-drain.ts';
import { createOwnHandshake } from './own-handshake.ts';
import { createPresence, type Presence } from './presence.ts';
import { createReplica, type Replica } from './replica.ts';
import { createToldTraffic } from './told-traffic.ts';

/** The kinds of records that no engine is asked for: the edge goes by them before any engine does. */
const supervisedKinds: readonly Kind[] = ['confirmation', 'drain', 'edge-canary'];

export interface SupervisorOptions {
  config: EdgeConfig;
  edgeKey: string;
  /** As the engine is given them. Default: none. */
  givenSockets?: GivenSockets;
  /** Closed by `stop`. */
  feed: Feed;
  /** What serves. */
  createEngine: CreateEngine;
  log: Logger;
  /** Called before a snapshot is taken; throws `wrong_secret_key` when the feed's secrets are sealed with another key. */
  checkKey?: () => Promise<void>;
  /** The edge cannot go on: stop it and say why. */
  onFatal(error: AppError): void;
}

export interface EdgeAddresses {
  https: Address;
  http: Address;
  admin: Address;
}

export interface Supervisor {
  /** There is a saved configuration to serve from. */
  readonly hasConfiguration: boolean;
  /**
   * Resolves when the ports are bound. Rejects with nothing left behind: `bad_configuration` when a port cannot be bound.
   */
  start(): Promise<EdgeAddresses>;
  /** Resolves once a configuration is in force. */
  readonly configured: Promise<void>;
  /** As those of `Engine`. */
  reload(): Promise<void>;
  reopenLogs(): void;
  /**
   * Drains and ends everything, within about 9 s, or as much later as `config.drainDelayMs` says. May be called at any time, and more than
   * once. An edge leaves the fleet with that, unless it `returns`: then it is lost until it does, and expected.
   */
  stop(options?: { returns?: boolean }): Promise<void>;
}

/** Of its time, one part in so many goes into counting hosts. */
const countingShare = 100;

/**
 * One edge: keeps the configuration, feeds the engine that serves it, reports. Throws `wrong_secret_key` when the disk copy was sealed with
 * another key, and `bad_configuration` when another process uses the data folder or it cannot be written.
 */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { feed, log } = options;
  const config = withDefaults(options.config);
  const instance = randomUUID();
  const startedAt = new Date().toISOString();
  const undo: (() => Promise<void> | void)[] = [];
  const boundary = createBoundary(log);
  let replica: Replica | null = null;
  let engine: Engine | null = null;
  let returns = false;
  let stopping: Promise<void> | null = null;
  let drains: NodeDrain | null = null;
  /** Once it takes connections. */
  let presence: Presence | null = null;
  const configured = Promise.withResolvers<void>();

  const sealer = createEdgeSealer(options.edgeKey);
  const cache = createConfigCache({
    path: join(config.dataDir, 'edge-cache.db'),
    sealer,
    log,
    onSetAside: boundary.guard('cache', () => {
      replica?.lost();
      if (cache.position() === null) engine?.listen();
    }),
    onDamagedRow: boundary.guard('cache', () => replica?.restart()),
  });
  undo.push(() => cache.close());
  undo.push(() => feed.close());

  async function start(): Promise<EdgeAddresses> {
    const followed = createReplica({
      node: config.node,
      cache,
      feed,
      log,
      boundary,
      checkKey: options.checkKey,
      onChange: changed,
      onFatal: options.onFatal,
    });
    replica = followed;
    undo.push(() => followed.close());
    const asks = createAsks({
      node: config.node,
      feed,
      onDemand: () => followed.settings?.onDemand ?? null,
      log,
      boundary,
      onOutcome: (outcome) => metrics.countAsk(outcome),
    });
    undo.push(() => asks.close());
    const ownServices = [...config.ownServices];
    const health = createUpstreamHealth({
      clientCertificate: createClientCertificates(cache, sealer),
      denied: createDeniedNow(() => followed.settings?.edge.deny ?? defaultEdgeSettings.deny, ownServices),
      log,
      boundary,
      onChange: changed,
    });
    undo.push(() => health.close());
    const told = createToldUpstreams({ node: config.node, feed, states: health.states, log, boundary });
    undo.push(() => told.close());
    const serving = await options.createEngine({
      config,
      givenSockets: options.givenSockets ?? {},
      edgeKey: options.edgeKey,
      configuration: followed.feed,
      hasConfiguration: () => cache.position() !== null,
      ownServices: () => ownServices,
      asks,
      health,
      log,
      boundary,
      onChange: changed,
    });
    engine = serving;
    const toldTraffic = createToldTraffic({ node: config.node, feed, traffic: serving.traffic, boundary });
    undo.push(() => toldTraffic.close());
    undo.push(() => serving.drain());
    drains = createNodeDrain({ engine: serving, replica: followed, boundary, onChange: () => changed() });
    const drain = drains;
    undo.push(() => drain.close());
    const { https, http } = serving.addresses;
    const metrics = createEdgeMetrics(serving.labels);

    const handshake = createOwnHandshake({
      address: https,
      host: () => cache.first('certificate')?.value?.host ?? null,
    });
    const listener = createListenerWatch({
      handshake,
      ready: () => serving.processes.ready > 0,
      onChange: changed,
      boundary,
    });
    undo.push(() => listener.close());
    let lastHosts = 0;
    let countAgainAt = 0;
    /** Each report has it: where there are very many, they are not counted for each. */
    function hosts(): number {
      const at = performance.now();
      if (at < countAgainAt) return lastHosts;
      try {
        lastHosts = cache.hosts();
      } catch (error) {
        boundary.note('cache', error); // a disk that fails is no reason to be lost
      }
      const doneAt = performance.now();
      countAgainAt = doneAt + countingShare * (doneAt - at);
      return lastHosts;
    }
    function refusals(): Refusal[] {
      return [...cache.damaged, ...serving.refusals()];
    }

    const admin = await createAdminListener({
      address: config.admin,
      hosts: config.adminHosts,
      boundary,
      readiness: () => edgeReadiness({ engine: serving, replica: followed, handshake, drain }),
      reload,
      async metrics() {
        const text = await metrics.render(await serving.figures(), {
          appliedRevision: serving.applied()?.number ?? null,
          processes: serving.processes,
          hosts: hosts(),
          refusals: refusals().length,
          upstreams: health.states(),
          checks: health.checks,
          held: followed.held !== null,
          unsaved: followed.unsaved,
          persistent: cache.persistent,
          feed: followed.state,
          behindSince: followed.behindSince,
          exceptions: boundary.exceptions,
        });
        return { contentType: metrics.contentType, text };
      },
    });
    undo.push(() => admin.close());
    ownServices.push(admin.address);
    const addresses = { https, http, admin: admin.address };

    function makeReport(): NodeReport {
      const { ready, of } = serving.processes;
      return {
        node: config.node,
        instance,
        home: cache.home,
        version,
        startedAt,
        applied: serving.applied(),
        capabilities: { kinds: [...serving.capabilities.kinds, ...supervisedKinds] },
        keys: [...sealer.keyIds],
        refusals: refusals(),
        ...reportedUpstreams(health.states()),
        held: followed.held,
        hosts: hosts(),
        workers: { ready, of },
        unanswered: listener.fault,
        drained: drain.state,
        feed: followed.state,
        clock: Date.now(),
        addresses: {
          https: formatAddress(https),
          http: formatAddress(http),
          admin: formatAddress(admin.address),
        },
      };
    }
    const known = createPresence({
      feed,
      makeReport,
      nothingSince({ epoch, number }) {
        const last = followed.concerned;
        return last !== null && last.epoch === epoch && last.number <= number;
      },
      log,
      boundary,
      onFatal: options.onFatal,
    });
    function changed(): void {
      drain.look();
      presence?.changed();
      if (serving.applied() !== null) configured.resolve();
    }

    followed.start();
    await serving.start();
    presence = known;
    known.start();
    undo.push(
      () => serving.drain(),
      () => known.leave({ returns }),
    );
    log.info({ ...addresses }, 'the edge is listening');
    return addresses;
  }

  async function tearDown(): Promise<void> {
    // One that never took traffic has nobody to tell.
    if (presence !== null) await drains?.beforeStop(config.drainDelayMs);
    for (const step of undo.reverse()) {
      try {
        await step();
      } catch (error) {
        log.warn({ err: error }, 'a step of the stop failed');
      }
    }
  }

  function stop(how: { returns?: boolean } = {}): Promise<void> {
    returns ||= how.returns ?? false;
    stopping ??= tearDown();
    return stopping;
  }

  return {
    hasConfiguration: cache.position() !== null,
    async start() {
      try {
        return await start();
      } catch (error) {
        await stop();
        throw error;
      }
    },
    configured: configured.promise,
    reload,
    reopenLogs: () => engine?.reopenLogs(),
    stop,
  };

  async function reload(): Promise<void> {
    if (engine === null || stopping !== null)
      throw new AppError('shutting_down', 'the edge starts, or it stops');
    await engine.reload();
  }
}
