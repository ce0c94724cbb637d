import { join } from 'node:path';
import { waitFor } from '@lockstep/testkit';
import type { DataFolder } from '../load-store.ts';
import { readProcessTree } from '../process-tree.ts';
import { isReady, startEdge } from '../start-edge.ts';
import { startUp } from '../start-up.ts';

export interface LockstepEdge {
  port: number;
  /** The edge's supervisor; its workers are below it. */
  pid: number;
  stop(): Promise<void>;
}

/** `lockstep up` with one edge of one worker over a loaded store; for more workers the edge alone, from the disk that it left. */
export async function startLockstepEdge(
  folder: DataFolder,
  logFile: string,
  workers = 1,
): Promise<LockstepEdge> {
  const up = await startUp({ dataDir: folder.path, token: folder.token, edges: 1, logFile });
  if (workers === 1) {
    const edge = await waitFor(() => readProcessTree(up.pid).find(({ parent }) => parent === up.pid), {
      what: 'the process of the edge',
    });
    return { port: up.httpsPorts[0]!, pid: edge.pid, stop: up.stop };
  }
  await up.stop();
  const node = 'edge-1';
  const edge = await startEdge({
    node,
    dataDir: join(folder.path, node),
    edgeKey: folder.edgeKey,
    storeUrl: 'redis://127.0.0.1:1', // a port that nobody listens on
    logFile,
    workers,
  });
  await waitFor(() => isReady(edge), { what: 'the edge to start from its disk', timeoutMs: 120_000 });
  return { port: edge.httpsPort, pid: edge.pid, stop: edge.stop };
}
