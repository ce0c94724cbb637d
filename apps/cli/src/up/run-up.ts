import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Address, AppError, giveBackMemory, isAppError, type Readiness } from '@lockstep/contract';
import {
  type AcmeConfig,
  createControlPlane,
  readAcmeConfig,
  splitAdminTokens,
} from '@lockstep/control-plane';
import { createStoreFeed, spawnEdge } from '@lockstep/edge-agent';
import { createSealers, deriveEdgeKey, generateSecretKey } from '@lockstep/pki';
import { openStore } from '@lockstep/store/open-store';
import type { Logger } from 'pino';
import { readSecrets } from '../config.ts';
import { dropOlderKeys } from '../keys/key-file.ts';
import { fleetKeys, rotateKeys } from '../keys/rotate-keys.ts';
import { checkPorts } from './check-ports.ts';
import { openDataFolder } from './data-folder.ts';
import { createDemoUpstream, demoHost, getFromEdge, getRoot, putDemoRoute } from './demo.ts';
import { createEdgeProcesses, type EdgeProcesses } from './edge-processes.ts';
import type { AddressPlan } from './plan-addresses.ts';
import { describeAddresses, describeFirstRoute, type ScreenFacts } from './screen.ts';
import { createStopSignal } from './stop-signal.ts';
import { createTerminalLog } from './terminal-log.ts';

export interface UpOptions {
  version: string;
  dataDir: string;
  plan: AddressPlan;
  adminHosts: string[];
  caddyApi: Address | null;
  demo: boolean;
  logLevel: string;
}

/** Opens the root logger: everything to the file, warnings and errors to the terminal too. */
export type OpenLog = (options: {
  fd: number;
  level: string;
  terminal: { write(text: string): void };
}) => Promise<Logger>;

export interface UpDependencies {
  openLog: OpenLog;
  print: (line: string) => void;
}

const readinessIntervalMs = 100;
const progressIntervalMs = 5_000;

/** Runs a control plane and edges on this machine until a signal. Throws `AppError` when that cannot be, and has then nothing left running. */
export async function runUp(options: UpOptions, { openLog, print }: UpDependencies): Promise<void> {
  const { version, dataDir, plan, adminHosts, caddyApi, demo, logLevel } = options;
  const secrets = readSecrets();
  const acme = readAcmeConfig();
  const folder = openDataFolder(dataDir);

  await using parts = new AsyncDisposableStack();
  // The store comes first: it holds the lock that keeps a second `up` off this folder.
  const store = await openStore(`sqlite:${folder.file('store.db')}`);
  parts.defer(() => store.close());
  const caddyListener =
    caddyApi === null ? [] : [{ what: 'Caddy’s admin API', address: caddyApi, flag: '--caddy-api' }];
  await checkPorts([...plan.listeners, ...caddyListener]);

  const secretKey = secrets.secretKey ?? folder.secret('secret-key', generateSecretKey);
  const adminTokens = splitAdminTokens(secrets.adminToken ?? folder.secret('admin-token', createAdminToken));
  const [adminToken = ''] = adminTokens;
  const sealers = createSealers(secretKey);
  const edgeKey = deriveEdgeKey(secretKey);

  using stopSignal = createStopSignal({ force: () => process.exit(1) });
  const { signal } = stopSignal;
  const logFd = openSync(folder.file('lockstep.log'), 'a', 0o600);
  parts.defer(() => closeSync(logFd));
  const log = await openLog({ fd: logFd, level: logLevel, terminal: createTerminalLog(print) });

  print(`Lockstep ${version}: starting the control plane …`);
  const controlPlane = await createControlPlane({
    config: {
      listen: plan.api,
      dataDir,
      adminTokens,
      acme,
      expectedEdges: plan.edges.length,
      adminHosts,
      caddyApi,
      newStore: false,
      restored: false,
    },
    store,
    sealers,
    log,
  }).catch((error) => Promise.reject(explain(error, dataDir)));

  let edges: EdgeProcesses | null = null;
  // Together: an edge's drain may wait for requests in flight as long as the control plane may for its own.
  parts.defer(async () => {
    await Promise.all([controlPlane.close(), edges?.close()]);
  });

  print(`Starting ${plan.edges.length === 1 ? 'the edge' : `${plan.edges.length} edges`} …`);
  const feed = createStoreFeed(store);
  edges = createEdgeProcesses({
    nodes: plan.edges.map(({ node }) => node),
    spawn: (node) => {
      const { https, http, admin } = plan.edges.find((edge) => edge.node === node)!;
      return spawnEdge({
        config: {
          node,
          dataDir: folder.file(node),
          https,
          http,
          admin,
          adminHosts,
          publicHttpsPort: null,
          workers: 1,
          logLevel,
          ownServices: [controlPlane.address, ...plan.edges.map((edge) => edge.admin)],
        },
        edgeKey,
        feed,
        log,
        outputFd: logFd,
      });
    },
    signal,
    log,
    onHopeless: (error) => stopSignal.stop(error),
  });

  const chain = controlPlane.chain();
  const root = chain.includes('internal') ? controlPlane.rootCertificate : null;
  const facts: ScreenFacts = {
    apiUrl: controlPlane.url,
    caddyApi,
    plan,
    issuer: chain.map((name) => describeIssuer(name, acme)).join(', then '),
    rootFile: root === null ? null : folder.file('ca/root.crt'),
    tokenFile: secrets.adminToken === null ? folder.file('admin-token') : null,
    logFile: folder.file('lockstep.log'),
  };
  try {
    await waitUntilReady(controlPlane.url, { signal, print });
    giveBackMemory();
    print('Ready.');
    await keepContextOf(facts);
    for (const line of describeAddresses(facts)) print(line);
    if (demo) {
      const upstream = await createDemoUpstream();
      parts.defer(() => upstream.close());
      await showDemo({ apiUrl: controlPlane.url, token: adminToken, upstreamUrl: upstream.url });
    }
    for (const line of describeFirstRoute(facts)) print(line);
    if (secrets.secretKey === null) await changeToNewKey();
    await aborted(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (isAppError(signal.reason)) throw signal.reason;
  print('Stopping …');
  await parts.disposeAsync();
  print('stopped');

  /** The commands that ask the API find it at once. A folder that cannot be written costs that alone. */
  async function keepContextOf({ apiUrl, tokenFile }: ScreenFacts): Promise<void> {
    try {
      const { keepContext } = await import('../session/keep-context.ts');
      keepContext('up', { api: apiUrl, ...(tokenFile !== null && { tokenFile: resolve(tokenFile) }) });
    } catch (error) {
      log.info({ err: error }, 'no context was written for the commands that ask the API');
    }
  }

  /** After `lockstep keys rotate`, the file has two keys: all parts of this process have both, and what is sealed is changed over now. */
  async function changeToNewKey(): Promise<void> {
    const [newKey, ...older] = sealers.controlPlanes.keyIds;
    if (older.length === 0) return;
    const options = { apiUrl: controlPlane.url, token: adminToken, print, signal };
    try {
      const { secret } = await fleetKeys(options);
      if (secret.current !== newKey || secret.older.length > 0) await rotateKeys(options);
      dropOlderKeys(folder.file('secret-key'));
    } catch (error) {
      if (!isAppError(error)) throw error;
      log.warn({ err: error }, 'the keys are not rotated yet; the next start goes on with it');
    }
  }

  async function showDemo({
    apiUrl,
    token,
    upstreamUrl,
  }: {
    apiUrl: string;
    token: string;
    upstreamUrl: string;
  }) {
    print(`Demo: a route for ${demoHost} to a small upstream at ${upstreamUrl} …`);
    print(`  the route is ${await putDemoRoute({ apiUrl, token, upstreamUrl, signal })}`);
    const ca = await getRoot({ apiUrl, token, signal });
    for (const { node, https } of plan.edges) {
      const answer = await getFromEdge(https, { ca, signal }).then(
        ({ status, body }) => `${status} ${body.trim()}`,
        (error: Error) => `failed: ${error.message}`,
      );
      print(`  ${node}  https://${demoHost}:${https.port}/  ${answer}`);
    }
    print('');
  }
}

/** Every edge live, by the control plane's own word; says what it waits for. */
async function waitUntilReady(
  apiUrl: string,
  { signal, print }: { signal: AbortSignal; print: (line: string) => void },
): Promise<void> {
  for (let saidAt = performance.now(); ; await pause(readinessIntervalMs, undefined, { signal })) {
    const waitingFor = await missing(apiUrl, signal);
    if (waitingFor === null) return;
    if (performance.now() - saidAt < progressIntervalMs) continue;
    saidAt = performance.now();
    print(`  waiting: ${waitingFor}`);
  }
}

/** Null when it is ready. An answer that does not come is no reason to give up: so early, this process is busy with its own start. */
async function missing(apiUrl: string, signal: AbortSignal): Promise<string | null> {
  try {
    const response = await fetch(`${apiUrl}/readyz`, { signal });
    if (response.ok) return null;
    const { checks = [] } = (await response.json()) as Partial<Readiness>;
    return checks.flatMap(({ ok, detail }) => (ok ? [] : [detail])).join('; ');
  } catch (error) {
    if (signal.aborted) throw error;
    return `the API does not answer (${(error as Error).message})`;
  }
}

function describeIssuer(name: string, acme: AcmeConfig | null): string {
  if (name === 'internal') return 'internal CA';
  return name === 'acme' && acme !== null ? acme.directory : name;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function createAdminToken(): string {
  return randomBytes(32).toString('base64url');
}

function explain(error: unknown, dataDir: string): unknown {
  if (isAppError(error, 'wrong_secret_key')) {
    return new AppError(
      'wrong_secret_key',
      `the secret key is not the one that ${dataDir} was made with; give that one (LOCKSTEP_SECRET_KEY, or the file secret-key there): ${error.message}`,
      { cause: error },
    );
  }
  if (isAppError(error, 'store_lost')) {
    return new AppError(
      'store_lost',
      `${dataDir} knows a history that its store.db does not hold; put store.db back, or remove the folder to begin anew`,
      { cause: error },
    );
  }
  return error;
}
