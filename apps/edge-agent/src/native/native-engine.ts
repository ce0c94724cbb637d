import { randomBytes } from 'node:crypto';
import type { Engine, EngineOptions } from '../engine/engine.ts';
import { requestRefusals } from '../server/request-refusal.ts';
import { cutReasons } from './clients/incidents.ts';
import { takeSocket } from './processes/given-socket.ts';
import { createListeningSockets } from './processes/listening-sockets.ts';
import { probeAddress } from './processes/probe-address.ts';
import { createWorkerPool } from './processes/worker-pool.ts';
import { failureCauses } from './upstreams/failure-cause.ts';
import { servedKinds } from './worker/served-kinds.ts';

/** The engine of Lockstep's own: worker processes that share the ports, each with the whole configuration in memory. */
export async function createNativeEngine(options: EngineOptions): Promise<Engine> {
  const { config, edgeKey, configuration, hasConfiguration, asks, health, log, boundary, onChange } = options;
  const { https: httpsFd, http: httpFd } = options.givenSockets;
  const given = {
    https: httpsFd === undefined ? undefined : takeSocket(httpsFd, 'HTTPS'),
    http: httpFd === undefined ? undefined : takeSocket(httpFd, 'HTTP'),
  };
  const [https, http] = await Promise.all([
    given.https?.address ?? probeAddress(config.https),
    given.http?.address ?? probeAddress(config.http),
  ]);
  const sockets = await createListeningSockets(config.workers, { https, http }, given);
  const pool = createWorkerPool({
    count: config.workers,
    settings: {
      config,
      https,
      http,
      edgeKey,
      ticketKeys: randomBytes(48),
      // Read when a worker is started.
      get ownServices() {
        return options.ownServices();
      },
    },
    sockets,
    feed: configuration,
    hasConfiguration,
    asks,
    health,
    log,
    boundary,
    onChange,
  });
  return {
    addresses: { https, http },
    capabilities: { kinds: servedKinds },
    labels: {
      failures: Object.keys(failureCauses),
      refusedRequests: Object.keys(requestRefusals),
      cuts: cutReasons,
    },
    start: pool.start,
    listen: pool.listen,
    get processes() {
      const { ready, hung, restarts, kills } = pool;
      return { of: config.workers, ready, hung, restarts, kills };
    },
    applied: pool.applied,
    refusals: pool.refusals,
    figures: pool.figures,
    reload: pool.reload,
    setDrained: pool.setDrained,
    traffic: pool.traffic,
    reopenLogs: pool.reopenLogs,
    drain: pool.drain,
  };
}
