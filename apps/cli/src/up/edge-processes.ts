import { setTimeout } from 'node:timers/promises';
import type { AppError } from '@lockstep/contract';
import type { EdgeProcess } from '@lockstep/edge-agent';
import type { Logger } from 'pino';

export interface EdgeProcesses {
  /** Stops all edges once their requests in flight are done, or after ten seconds by force. */
  close(): Promise<void>;
}

export interface EdgeProcessesOptions {
  nodes: string[];
  spawn: (node: string) => EdgeProcess;
  /** No edge is started again once this is aborted: a signal may reach the edges before it reaches this process. */
  signal: AbortSignal;
  log: Logger;
  /** An edge that says it cannot start, before any of it ran, will say so again: its settings are at fault. */
  onHopeless: (error: AppError) => void;
}

const settledAfterMs = 10_000;
const shortestPauseMs = 250;
const longestPauseMs = 10_000;

/** Keeps one process for each node: one that ends is started again, after a pause that grows while it keeps ending. */
export function createEdgeProcesses({
  nodes,
  spawn,
  signal,
  log,
  onHopeless,
}: EdgeProcessesOptions): EdgeProcesses {
  const running = new Map<string, EdgeProcess>();

  async function keep(node: string): Promise<void> {
    let everReady = false;
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const edge = spawn(node);
      running.set(node, edge);
      void edge.ready.then(
        () => {
          everReady = true;
        },
        () => {}, // `exited` says the same
      );
      const { code, signal: killedBy, error } = await edge.exited;
      running.delete(node);
      if (signal.aborted) return;
      if (error !== null && !everReady) return onHopeless(error);
      failures = performance.now() - startedAt > settledAfterMs ? 0 : failures + 1;
      const pauseMs = Math.min(shortestPauseMs * 2 ** failures, longestPauseMs);
      const how = error?.message ?? killedBy ?? `exit code ${code}`;
      log.warn({ node, pauseMs }, `the edge ended (${how}) and is started again`);
      await setTimeout(pauseMs, undefined, { signal }).catch(() => {});
    }
  }
  const kept = nodes.map(keep);

  return {
    async close() {
      await Promise.all([...running.values()].map((edge) => edge.stop()));
      await Promise.all(kept);
    },
  };
}
