import { readFileSync } from 'node:fs';
import { type Address, AppError, hasNoUser } from '@lockstep/contract';
import type { OwnService } from '@lockstep/pki/denied-addresses';
import type { TlsFiles } from './tls-files.ts';

export interface AcmeConfig {
  directory: string;
  email: string | null;
  /** PEM file with the roots of a private CA's directory; null: the public ones. */
  caFile: string | null;
}

/** From files, or the certificate of a name of the API that the fleet keeps. */
export type ListenerTls = TlsFiles | { host: string };

export interface ControlPlaneConfig {
  listen: Address;
  /** Where Caddy's admin API is spoken; null: nowhere. */
  caddyApi?: Address | null;
  dataDir: string;
  /** Each of them is the admin's; two while one is changed for the other. */
  adminTokens: readonly string[];
  /** Null: the internal CA. */
  acme: AcmeConfig | null;
  /** `/readyz` answers 200 once this many edges are live. */
  expectedEdges: number;
  /** Names under which the API may be called, besides addresses, localhost and the host it listens on. */
  adminHosts: string[];
  /** Listeners of the fleet beside the API and the edges, where no upstream may lead: the store. */
  ownServices?: OwnService[];
  /** The listener's TLS; left out: plain HTTP. */
  tls?: ListenerTls | undefined;
  /** Makes a new history although this data folder knows of an older one. */
  newStore: boolean;
  /** The store was put back from a backup: begins a new epoch. */
  restored: boolean;
}

/** The ACME issuer named by the environment, or null. */
export function readAcmeConfig(env: NodeJS.ProcessEnv = process.env): AcmeConfig | null {
  const directory = env.LOCKSTEP_ACME_DIRECTORY;
  if (!directory) return null;
  if (!URL.canParse(directory) || !directory.startsWith('https://')) {
    throw new AppError(
      'bad_configuration',
      'LOCKSTEP_ACME_DIRECTORY is not an https:// address of an ACME directory',
    );
  }
  if (!hasNoUser(directory))
    throw new AppError('bad_configuration', 'LOCKSTEP_ACME_DIRECTORY carries a user or password');
  return {
    directory,
    email: env.LOCKSTEP_ACME_EMAIL || null,
    caFile: env.LOCKSTEP_ACME_CA_FILE || null,
  };
}

/** The roots named by `LOCKSTEP_ACME_CA_FILE`, as PEM. */
export function readRoots(caFile: string | null): string | null {
  if (caFile === null) return null;
  try {
    return readFileSync(caFile, 'utf8');
  } catch (cause) {
    throw new AppError('bad_configuration', `LOCKSTEP_ACME_CA_FILE "${caFile}" cannot be read`, { cause });
  }
}

/** The key that all others are derived from. Throws `bad_configuration` without it, and where an edge’s key was given. */
export function readSecretKey(env: NodeJS.ProcessEnv = process.env): string {
  const key = env.LOCKSTEP_SECRET_KEY;
  if (env.LOCKSTEP_EDGE_KEY) {
    throw new AppError(
      'bad_configuration',
      'LOCKSTEP_EDGE_KEY is for edges; a control plane takes LOCKSTEP_SECRET_KEY alone, which `lockstep keygen` makes, and derives the edge key itself',
    );
  }
  if (!key) {
    throw new AppError(
      'bad_configuration',
      'LOCKSTEP_SECRET_KEY is not set; `lockstep keygen` makes one, and every control plane needs the same',
    );
  }
  return key;
}

/** The admin's tokens for a fleet over Redis, where no process may make one up. */
export function readAdminTokens(env: NodeJS.ProcessEnv = process.env): string[] {
  const tokens = env.LOCKSTEP_ADMIN_TOKEN;
  if (!tokens)
    throw new AppError(
      'bad_configuration',
      'LOCKSTEP_ADMIN_TOKEN is not set; callers of the API send it as their bearer token',
    );
  return splitAdminTokens(tokens);
}

const mostAdminTokens = 2;

/** One token, or two with a comma between, the one that callers are to send first. Throws `bad_configuration`. */
export function splitAdminTokens(value: string): string[] {
  const tokens = value.split(',');
  if (tokens.length > mostAdminTokens || !tokens.every((token) => /^[\x21-\x7e]{16,}$/.test(token))) {
    throw new AppError(
      'bad_configuration',
      'LOCKSTEP_ADMIN_TOKEN needs 16 printable characters or more, without spaces and commas; or two such tokens with a comma between, while one is changed for the other',
    );
  }
  return tokens;
}
