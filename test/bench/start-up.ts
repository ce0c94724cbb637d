import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from '@lockstep/testkit';
import { freePorts } from './free-ports.ts';
import { type Process, startProcess } from './start-process.ts';

const here = fileURLToPath(new URL('../..', import.meta.url));
const startTimeoutMs = 300_000;

export interface Up {
  readonly pid: number;
  apiUrl: string;
  /** The HTTPS port of each edge. */
  httpsPorts: number[];
  adminPorts: number[];
  /** One call of the API; throws unless it succeeds. */
  call(method: string, path: string, body?: object, headers?: Record<string, string>): Promise<ApiAnswer>;
  stop(): Promise<void>;
}

export interface ApiAnswer {
  status: number;
  body: unknown;
}

export interface UpOptions {
  dataDir: string;
  token: string;
  edges: number;
  logFile: string;
  /** The checkout that it is run from. Default: this one. */
  root?: string | undefined;
  /** Where its processes leave their CPU profiles when they end. */
  profileDir?: string | undefined;
}

/** Starts `lockstep …` with an environment of its own. */
export function startLockstep(
  args: string[],
  logFile: string,
  env: Record<string, string> = {},
  root = here,
): Promise<Process> {
  const command = join(root, 'apps/cli/bin/lockstep.js');
  return startProcess({ command: process.execPath, args: [command, ...args], logFile, env });
}

/** `lockstep up` in a process of its own; resolves when every edge has everything and no order is under way. */
export async function startUp({ dataDir, token, edges, logFile, root, profileDir }: UpOptions): Promise<Up> {
  const port = await freePorts(1 + 3 * edges);
  const ports = (offset: number) => Array.from({ length: edges }, (_, index) => port + offset + index);
  const httpsPorts = ports(1);
  const httpPorts = ports(1 + edges);
  const adminPorts = ports(1 + 2 * edges);
  const flags = {
    edges,
    port,
    'https-port': httpsPorts[0],
    'http-port': httpPorts[0],
    'admin-port': adminPorts[0],
    'data-dir': dataDir,
    'log-level': 'warn',
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const env =
    profileDir === undefined ? undefined : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profileDir}` };
  const up = await startLockstep(['up', ...args], logFile, env, root);
  const apiUrl = `http://127.0.0.1:${port}`;

  async function call(method: string, path: string, body?: object, headers?: Record<string, string>) {
    const response = await fetch(`${apiUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`);
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  }

  async function isSettled(): Promise<boolean> {
    up.check();
    if (!(await fetch(`${apiUrl}/readyz`)).ok) return false;
    const metrics = String((await call('GET', '/metrics')).body);
    const figure = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
    const { items } = (await call('GET', '/v1/nodes')).body as {
      items: { state: string; revision: number }[];
    };
    const current = items.filter(
      ({ state, revision }) => state === 'live' && revision === figure('lockstep_store_revision'),
    );
    return current.length === edges && figure('lockstep_orders_running') === 0;
  }

  try {
    const what = 'every edge to have everything';
    await waitFor(isSettled, { what, timeoutMs: startTimeoutMs, intervalMs: 50 });
  } catch (error) {
    await up.stop();
    up.check();
    throw error;
  }
  return { pid: up.pid, apiUrl, httpsPorts, adminPorts, call, stop: up.stop };
}
