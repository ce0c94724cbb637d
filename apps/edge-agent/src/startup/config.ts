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
}

/** The same with every default filled in. */
export type EdgeSettings = { [K in keyof EdgeConfig]-?: Exclude<EdgeConfig[K], undefined> };

export function withDefaults(config: EdgeConfig): EdgeSettings {
  return {
    ...config,
    adminHosts: config.adminHosts ?? [],
    certificateCacheSize: config.certificateCacheSize ?? 5_000,
    ownServices: config.ownServices ?? [],
    drainTimeoutMs: config.drainTimeoutMs ?? 7_000,
  };
}

/** The key that opens sealed values. Throws `bad_configuration` when it is not set. */
export function readSecretKey(): string {
  const key = process.env.LOCKSTEP_SECRET_KEY;
  if (key === undefined || key === '') {
    throw new AppError(
      'bad_configuration',
      'LOCKSTEP_SECRET_KEY is not set; `lockstep keygen` makes one, and all processes share it',
    );
  }
  return key;
}
