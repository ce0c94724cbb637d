import { type Address, AppError, giveBackMemory, isAppError, logDestination } from '@lockstep/contract';
import { createSealers } from '@lockstep/pki/sealer';
import { openStore } from '@lockstep/store/open-store';
import { storeAddresses } from '@lockstep/store/store-url';
import { pino } from 'pino';
import { createControlPlane } from './control-plane.ts';
import { type ListenerTls, readAcmeConfig, readAdminTokens, readSecretKey } from './startup/config.ts';

export interface RunControlPlaneOptions {
  listen: Address;
  adminHosts: string[];
  caddyApi: Address | null;
  tls: ListenerTls | undefined;
  dataDir: string;
  storeUrl: string;
  storePrefix: string;
  newStore: boolean;
  restored: boolean;
  logLevel: string;
}

/** Runs a control plane over Redis until SIGTERM or SIGINT. Throws `AppError` when it cannot start. */
export async function runControlPlane(options: RunControlPlaneOptions): Promise<void> {
  const log = pino({ name: 'control-plane', level: options.logLevel }, logDestination(pino.destination));
  const { listen, adminHosts, tls, caddyApi, dataDir, newStore, restored, storeUrl, storePrefix } = options;
  const config = {
    listen,
    adminHosts,
    tls,
    caddyApi,
    dataDir,
    newStore,
    restored,
    adminTokens: readAdminTokens(),
    acme: readAcmeConfig(),
    expectedEdges: 0,
    ownServices: storeAddresses(storeUrl),
  };
  const sealers = createSealers(readSecretKey());
  const store = await openStore(storeUrl, { prefix: storePrefix, log });
  try {
    const controlPlane = await createControlPlane({ config, store, sealers, log });
    giveBackMemory();
    log.info({ url: controlPlane.url }, 'the control plane listens');
    await new Promise<void>((resolve) => {
      // Repeats are ignored: npm and the terminal may both pass one signal on.
      process.on('SIGTERM', () => resolve());
      process.on('SIGINT', () => resolve());
    });
    log.info('the control plane stops');
    await controlPlane.close();
  } catch (error) {
    throw isAppError(error, 'store_lost') ? explainLostStore(error, dataDir) : error;
  } finally {
    await store.close();
  }
}

function explainLostStore(error: AppError, dataDir: string): AppError {
  const detail = `${error.message}. The data folder "${dataDir}" knows an older history: restore the store from a backup, or start once with --new-store to begin anew`;
  return new AppError('store_lost', detail, { cause: error });
}
