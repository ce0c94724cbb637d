import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '@lockstep/testkit';
import { getBody } from './add-route-lockstep.ts';
import { bulkHost, type DataFolder } from './load-store.ts';
import { cpuSecondsOf, readProcessTree } from './process-tree.ts';
import { round } from './report.ts';
import { isReady, startEdge } from './start-edge.ts';
import type { Upstream } from './start-upstream.ts';

const pollIntervalMs = 5;
const settleMs = 2_000;

export interface DiskStartFigures {
  hosts: number;
  /** From the spawn to the first 200 of `/readyz`, and to the upstream's body over HTTPS. */
  readyMs: number;
  servedMs: number;
  cpuSeconds: number;
  /** Two seconds after that, by process: the supervisor, then the worker. */
  rssMegabytes: number[];
}

export interface DiskStartOptions {
  folder: DataFolder;
  node: string;
  hosts: number;
  upstream: Upstream;
}

/** Starts an edge that has everything on its disk while its store cannot be reached. */
export async function measureDiskStart({
  folder,
  node,
  hosts,
  upstream,
}: DiskStartOptions): Promise<DiskStartFigures> {
  const begunAt = performance.now();
  const edge = await startEdge({
    node,
    dataDir: join(folder.path, node),
    edgeKey: folder.edgeKey,
    storeUrl: 'redis://127.0.0.1:1', // a port that nobody listens on
    logFile: join(folder.path, `bench-${node}.log`),
  });
  const since = () => Math.round(performance.now() - begunAt);
  const wait = { what: 'the edge to start from its disk', timeoutMs: 120_000, intervalMs: pollIntervalMs };
  try {
    await waitFor(() => isReady(edge), wait);
    const readyMs = since();
    const host = bulkHost(hosts - 1);
    await waitFor(
      () => getBody(edge.httpsPort, host, folder.authority.certificate, upstream).then(() => true),
      wait,
    );
    const servedMs = since();
    await delay(settleMs);
    const tree = readProcessTree(edge.pid);
    return {
      hosts,
      readyMs,
      servedMs,
      cpuSeconds: round(cpuSecondsOf(tree)),
      rssMegabytes: tree.map(({ rssBytes }) => round(rssBytes / 1e6)),
    };
  } finally {
    await edge.stop();
  }
}
