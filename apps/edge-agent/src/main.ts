import { setTimeout as delay } from 'node:timers/promises';
import { type AppError, edgeCanaryId, giveBackMemory, isAppError, logDestination } from '@lockstep/contract';
import { checkCanary, createEdgeSealer } from '@lockstep/pki/sealer';
import { openStore } from '@lockstep/store/open-store';
import { storeAddresses } from '@lockstep/store/store-url';
import { pino } from 'pino';
import { createStoreFeed } from './feed/store-feed.ts';
import { createNativeEngine } from './native/native-engine.ts';
import { type EdgeConfig, readEdgeKey, readServiceManager } from './startup/config.ts';
import { createServiceManager } from './startup/service-manager.ts';
import { createSupervisor } from './supervisor/supervisor.ts';

/** Below the time that systemd gives a start (90 s). An edge that waits for longer is ready all the same, or it would be killed for what it cannot mend. */
const firstConfigurationMs = 60_000;
const waitingStatus = 'waiting for the first configuration; until then no host is served';

export interface RunEdgeOptions {
  storeUrl: string;
  storePrefix?: string | undefined;
}

/**
 * Runs an edge over Redis until SIGTERM or SIGINT, with which it leaves the fleet, or SIGQUIT, after which it is still expected: for a
 * restart. SIGHUP replaces its workers. Throws `AppError` when it cannot start or go on: `wrong_secret_key`,
 * `bad_configuration` (a port, the data folder), `store_unavailable` (only without a saved configuration), `node_id_taken`.
 */
export async function runEdge(config: EdgeConfig, { storeUrl, storePrefix }: RunEdgeOptions): Promise<void> {
  const log = pino({ level: config.logLevel, base: { node: config.node } }, logDestination(pino.destination));
  const edgeKey = readEdgeKey();
  const manager = readServiceManager();
  const service = createServiceManager(manager, log);
  const sealer = createEdgeSealer(edgeKey);
  const store = await openStore(storeUrl, { prefix: storePrefix, log });
  const ended = Promise.withResolvers<AppError | null>();
  let returns = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ended.resolve(null));
  process.on('SIGQUIT', () => {
    returns = true;
    ended.resolve(null);
  });

  async function checkKey(): Promise<void> {
    const canary = await store.get('edge-canary', edgeCanaryId);
    if (canary !== null) checkCanary(sealer, canary.value.sealed);
  }

  let supervisor: ReturnType<typeof createSupervisor>;
  try {
    supervisor = createSupervisor({
      config: { ...config, ownServices: config.ownServices ?? storeAddresses(storeUrl) },
      edgeKey,
      givenSockets: manager.sockets,
      feed: createStoreFeed(store),
      createEngine: createNativeEngine,
      log,
      checkKey,
      onFatal: ended.resolve,
    });
  } catch (error) {
    await store.close();
    throw error;
  }
  try {
    await checkKey();
  } catch (error) {
    // A saved configuration is what an edge starts from when there is nothing else.
    if (!isAppError(error, 'store_unavailable') || !supervisor.hasConfiguration) {
      await supervisor.stop();
      throw error;
    }
    log.warn({ err: error }, 'the store cannot be reached; serving the saved configuration');
  }
  let started = false;
  let status = waitingStatus;
  process.on('SIGHUP', () => {
    if (!started) return;
    service.reloading();
    supervisor
      .reload()
      .catch((error) => log.error({ err: error }, 'the workers were not replaced'))
      .finally(() => service.ready(status));
  });
  process.on('SIGUSR1', () => supervisor.reopenLogs());
  await supervisor.start();
  started = true;
  service.starting(status);
  const configured = supervisor.configured.then(() => {
    status = 'serving';
  });
  await Promise.race([configured, ended.promise, delay(firstConfigurationMs, undefined, { ref: false })]);
  service.ready(status);
  if (status === waitingStatus) void configured.then(() => service.ready(status));
  const givingBack = giveBackMemory();
  const error = await ended.promise;
  clearInterval(givingBack);
  log.info('the edge stops');
  await service.stopping();
  await supervisor.stop({ returns: returns || error !== null });
  if (error !== null) throw error;
}
