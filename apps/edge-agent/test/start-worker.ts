import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createBoundary, defaultEdgeSettings, type Position, type UpstreamState } from '@lockstep/contract';
import { createEdgeSealer } from '@lockstep/pki';
import { freePort } from '@lockstep/testkit';
import { pino } from 'pino';
import type { Test } from 'tap';
import type { HealthWatcher } from '../src/engine/upstream-health.ts';
import type { Feed } from '../src/feed/feed.ts';
import { createStoreFeed } from '../src/feed/store-feed.ts';
import type { OpenDestination } from '../src/native/observation/access-log.ts';
import { createWorker, type Worker } from '../src/native/worker/worker.ts';
import type { WorkerStatus } from '../src/native/worker/worker-message.ts';
import { type EdgeConfig, withDefaults } from '../src/startup/config.ts';
import { createDeniedNow } from '../src/supervisor/health/denied-now.ts';
import { createUpstreamHealth } from '../src/supervisor/health/upstream-health.ts';
import { type ConfiguredStore, createConfiguredStore } from './configured-store.ts';

export interface ServingWorker extends ConfiguredStore {
  worker: Worker;
  httpsPort: number;
  httpPort: number;
  status(): WorkerStatus;
  /** What the worker asked its supervisor about, and what it no longer waits for. */
  asks: { host: string; client: string }[];
  enough: string[];
  /** What is known of the health of its upstreams. */
  upstreams(): UpstreamState[];
  /** Resolves when there is one that is so. */
  found(state: (upstream: UpstreamState) => boolean): Promise<void>;
  /** Resolves when the worker has put this position in force. */
  applied(position: Position): Promise<void>;
}

const local = { host: '127.0.0.1', port: 0 };

/**
 * One worker in this process, straight from a store of its own, or another worker's, which ends later; what `prepare` puts in comes to
 * it as a snapshot.
 */
export async function startWorker(
  t: Test,
  config: Partial<EdgeConfig> = {},
  prepare?: (configured: ConfiguredStore) => Promise<unknown>,
  others?: ConfiguredStore,
  feed?: Feed,
): Promise<ServingWorker> {
  const configured = others ?? (await createConfiguredStore());
  await prepare?.(configured);
  const https = { host: '127.0.0.1', port: await freePort() };
  const http = { host: '127.0.0.1', port: await freePort() };
  const sealer = createEdgeSealer(configured.edgeKey);
  const changes = new EventEmitter();
  const asks: ServingWorker['asks'] = [];
  const enough: string[] = [];
  let status: WorkerStatus = { position: null, refusals: [] };
  const health = createUpstreamHealth({
    denied: createDeniedNow(() => defaultEdgeSettings.deny, []),
    clientCertificate: () => null,
    log: pino({ level: 'silent' }),
    boundary: createBoundary(pino({ level: 'silent' })),
    onChange: () => changes.emit('health'),
  });
  const worker = createWorker({
    settings: {
      config: withDefaults({
        node: 'test',
        dataDir: '',
        https: local,
        http: local,
        admin: local,
        publicHttpsPort: null,
        workers: 1,
        logLevel: 'silent',
        drainTimeoutMs: 200,
        ...config,
      }),
      https,
      http,
      edgeKey: configured.edgeKey,
      ticketKeys: randomBytes(48),
      ownServices: [],
      health: [],
      sockets: null,
      listenAtOnce: true,
      drained: false,
    },
    open: (sealed, context) => sealer.open(sealed, context),
    feed: feed ?? createStoreFeed(configured.store),
    log: pino({ level: 'silent' }),
    openLog: pino.destination as OpenDestination,
    boundary: createBoundary(pino({ level: 'silent' })),
    onListening: () => changes.emit('listening'),
    onStatus(now) {
      status = now;
      changes.emit('status');
    },
    onAsk(host, client) {
      asks.push({ host, client });
      changes.emit('ask');
    },
    onEnough: (host) => enough.push(host),
    onTook() {},
    health: {
      watch(added, dropped) {
        health.watch(watcher, added);
        health.unwatch(watcher, dropped);
      },
      failed: (key, reason) => health.failed(watcher, key, reason),
    },
  });
  const watcher: HealthWatcher = { tell: worker.tellHealth };
  const listening = once(changes, 'listening');
  const running = worker.run();
  await Promise.race([listening, running]);
  t.teardown(async () => {
    await worker.drain();
    await running;
    health.close();
    if (others === undefined) await configured.close();
  });
  return {
    ...configured,
    worker,
    httpsPort: https.port,
    httpPort: http.port,
    status: () => status,
    asks,
    enough,
    upstreams: health.states,
    async found(state) {
      while (!health.states().some(state)) await once(changes, 'health');
    },
    async applied(position) {
      while ((status.position?.number ?? -1) < position.number) await once(changes, 'status');
    },
  };
}
