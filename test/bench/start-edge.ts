import { freePorts } from './free-ports.ts';
import type { Process } from './start-process.ts';
import { startLockstep } from './start-up.ts';

export interface Edge extends Process {
  httpsPort: number;
  adminUrl: string;
}

export interface EdgeOptions {
  node: string;
  dataDir: string;
  edgeKey: string;
  /** A Redis; one that nobody listens on: the edge serves what is on its disk. */
  storeUrl: string;
  logFile: string;
  /** Default: one. */
  workers?: number;
}

/** `lockstep edge`, in a process of its own. It is not ready yet. */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const { node, dataDir, edgeKey, storeUrl, logFile, workers = 1 } = options;
  const port = await freePorts(3);
  const flags = {
    node,
    https: `127.0.0.1:${port}`,
    http: `127.0.0.1:${port + 1}`,
    admin: `127.0.0.1:${port + 2}`,
    store: storeUrl,
    'data-dir': dataDir,
    workers,
    'log-level': 'warn',
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const edge = await startLockstep(['edge', ...args], logFile, { LOCKSTEP_EDGE_KEY: edgeKey });
  return { ...edge, httpsPort: port, adminUrl: `http://127.0.0.1:${port + 2}` };
}

/** Whether the edge says that it is ready. Throws when it is gone. */
export async function isReady(edge: Edge): Promise<boolean> {
  edge.check();
  return (await fetch(`${edge.adminUrl}/readyz`)).ok;
}
