import { waitFor } from '@lockstep/testkit';
import type { DataFolder } from '../load-store.ts';
import { readProcessTree } from '../process-tree.ts';
import { startUp } from '../start-up.ts';

export interface LockstepEdge {
  port: number;
  /** The edge's supervisor; its worker is below it. */
  pid: number;
  stop(): Promise<void>;
}

/** `lockstep up` with one edge of one worker over a loaded store. */
export async function startLockstepEdge(folder: DataFolder, logFile: string): Promise<LockstepEdge> {
  const up = await startUp({ dataDir: folder.path, token: folder.token, edges: 1, logFile });
  const edge = await waitFor(() => readProcessTree(up.pid).find(({ parent }) => parent === up.pid), {
    what: 'the process of the edge',
  });
  return { port: up.httpsPorts[0]!, pid: edge.pid, stop: up.stop };
}
