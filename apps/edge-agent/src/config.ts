import { type Address, AppError } from '@lockstep/contract';

/** How one edge runs. Everything is checked before a port is bound. */
export interface EdgeConfig {
  node: string;
  /** Holds the sealed last known good configuration; one process at a time. */
  dataDir: string;
  https: Address;
  http: Address;
  admin: Address;
  /** Where the redirect of port 80 points; null: the port of the HTTPS listener. */
  publicHttpsPort: number | null;
  workers: number;
  logLevel: string;
  /** How many built TLS contexts a worker keeps, about 35 kB each. */
  certificateCacheSize: number;
  upstreamConnectTimeoutMs: number;
  /** From the request sent to the head of the response. */
  upstreamHeadersTimeoutMs: number;
  /** How long a stop waits for requests in flight. */
  drainTimeoutMs: number;
}

export const edgeDefaults = {
  publicHttpsPort: null,
  workers: 1,
  logLevel: 'info',
  certificateCacheSize: 5_000,
  upstreamConnectTimeoutMs: 5_000,
  upstreamHeadersTimeoutMs: 60_000,
  drainTimeoutMs: 7_000,
} satisfies Partial<EdgeConfig>;

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
