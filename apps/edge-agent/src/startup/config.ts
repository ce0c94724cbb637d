import { type Address, AppError } from '@lockstep/contract';
import type { OwnService } from '@lockstep/pki/denied-addresses';

/** How one edge runs. */
export interface EdgeConfig {
  node: string;
  /** Holds the sealed last known good configuration; one process at a time. */
  dataDir: string;
  https: Address;
  http: Address;
  admin: Address;
  /** Where the redirect of port 80 points; null: the port of the HTTPS listener. */
  publicHttpsPort: number | null;
  /** Names that its admin listener may be called by, besides addresses, `localhost` and this machine's name. Default: none. */
  adminHosts?: readonly string[] | undefined;
  workers: number;
  logLevel: string;
  /** How many built TLS contexts a worker keeps, about 35 kB each. Default 5,000. */
  certificateCacheSize?: number | undefined;
  /** Listeners of the fleet beside this edge's own admin port, where no upstream may lead: its API, its store, other edges' admin ports. */
  ownServices?: OwnService[] | undefined;
  /** How long a stop waits for requests in flight. Default 7 s. */
  drainTimeoutMs?: number | undefined;
  /** How long a stop goes on serving new connections, with a readiness that says no: until balancers have seen it. Default 0. */
  drainDelayMs?: number | undefined;
  /** How long a worker that a reload replaced may go on with the connections it has. Default 10 min. */
  reloadTimeoutMs?: number | undefined;
}

/** The same with every default filled in. */
export type CompleteEdgeConfig = { [K in keyof EdgeConfig]-?: Exclude<EdgeConfig[K], undefined> };

export function withDefaults(config: EdgeConfig): CompleteEdgeConfig {
  return {
    ...config,
    adminHosts: config.adminHosts ?? [],
    certificateCacheSize: config.certificateCacheSize ?? 5_000,
    ownServices: config.ownServices ?? [],
    drainTimeoutMs: config.drainTimeoutMs ?? 7_000,
    drainDelayMs: config.drainDelayMs ?? 0,
    reloadTimeoutMs: config.reloadTimeoutMs ?? 600_000,
  };
}

/** Whether whoever runs it has said what OpenSSL is to do in a process, by a file of his own: it stays in force. */
export function configuresOpenssl(env: NodeJS.ProcessEnv = process.env): boolean {
  return env.OPENSSL_CONF !== undefined || /--openssl-/.test(env.NODE_OPTIONS ?? '');
}

/** The key that opens what is sealed for edges. Throws `bad_configuration` when it is not set, and where the secret key was given. */
export function readEdgeKey(env: NodeJS.ProcessEnv = process.env): string {
  const { LOCKSTEP_EDGE_KEY: key, LOCKSTEP_SECRET_KEY: secretKey } = env;
  if (secretKey) {
    throw new AppError(
      'bad_configuration',
      'LOCKSTEP_SECRET_KEY is for control planes and must not be given to an edge; give it LOCKSTEP_EDGE_KEY, which `lockstep keygen --edge` prints where LOCKSTEP_SECRET_KEY is set',
    );
  }
  if (!key) {
    throw new AppError(
      'bad_configuration',
      'LOCKSTEP_EDGE_KEY is not set; `lockstep keygen --edge` prints it where LOCKSTEP_SECRET_KEY is set',
    );
  }
  return key;
}

/** The environment without what is Lockstep's: an edge that is a child is told what it needs, and its parent's secrets are not its own. */
export function environmentOfChild(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('LOCKSTEP_')));
}

/** What systemd, or another that speaks like it, says to a process that it starts. */
export interface ServiceManagerConfig {
  /** It wants to hear how the process stands. */
  listens: boolean;
  /** After so long without a sign of life it takes the process for hung; null: never. */
  watchdogMs: number | null;
  /** Descriptors of sockets that it has bound, and keeps when this process ends. */
  sockets: GivenSockets;
}

export interface GivenSockets {
  https?: number;
  http?: number;
}

const firstGiven = 3;

/** See sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). Throws `bad_configuration` for sockets that have no place here. */
export function readServiceManager(
  env: NodeJS.ProcessEnv = process.env,
  pid: number = process.pid,
): ServiceManagerConfig {
  const isOwn = (given: string | undefined) => given === undefined || Number(given) === pid;
  const watchdogUs = Number(env.WATCHDOG_USEC ?? 0);
  return {
    listens: Boolean(env.NOTIFY_SOCKET),
    watchdogMs: watchdogUs > 0 && isOwn(env.WATCHDOG_PID) ? watchdogUs / 1_000 : null,
    sockets: env.LISTEN_FDS !== undefined && isOwn(env.LISTEN_PID) ? socketsOf(env) : {},
  };
}

/** By their names, `https` and `http`; without names in that order. */
function socketsOf({ LISTEN_FDS: count, LISTEN_FDNAMES: given = '' }: NodeJS.ProcessEnv): GivenSockets {
  const named = given.split(':').map((name) => name.toLowerCase());
  const isNamed = named.some((name) => name === 'https' || name === 'http');
  const sockets: GivenSockets = {};
  for (let i = 0; i < Number(count); i += 1) {
    const name = isNamed ? named[i] : ['https', 'http'][i];
    if ((name !== 'https' && name !== 'http') || sockets[name] !== undefined) {
      throw new AppError(
        'bad_configuration',
        `socket ${i + 1} of ${count} that were passed (LISTEN_FDS) has no place here; pass one for HTTPS and one for HTTP, in that order or with FileDescriptorName=https and =http`,
      );
    }
    sockets[name] = firstGiven + i;
  }
  return sockets;
}
