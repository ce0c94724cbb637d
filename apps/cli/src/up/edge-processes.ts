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
  const closing = new AbortController();
  const over = AbortSignal.any([signal, closing.signal]);

  async function keep(node: string): Promise<void> {
    let everReady = false;
    let failures = 0;
    const wait = async (startedAt: number, how: string) => {
      failures = performance.now() - startedAt > settledAfterMs ? 0 : failures + 1;
      const pauseMs = Math.min(shortestPauseMs * 2 ** failures, longestPauseMs);
      log.warn({ node, pauseMs }, `the edge ended (${how}) and is started again`);
      await setTimeout(pauseMs, undefined, { signal: over }).catch(() => {});
    };
    while (!over.aborted) {
      const startedAt = performance.now();
      let edge: EdgeProcess;
      try {
        edge = spawn(node);
      } catch (error) {
        // No memory, or no process to be had for now.
        await wait(startedAt, (error as Error).message);
        continue;
      }
      running.set(node, edge);
      void edge.ready.then(
        () => {
          everReady = true;
        },
        () => {}, // `exited` says the same
      );
      const { code, signal: killedBy, error } = await edge.exited;
      running.delete(node);
      if (over.aborted) return;
      if (error !== null && !everReady) return onHopeless(error);
      await wait(startedAt, error?.message ?? killedBy ?? `exit code ${code}`);
    }
  }
  const kept = nodes.map(keep);

  return {
    async close() {
      closing.abort();
      await Promise.all([...running.values()].map((edge) => edge.stop()));
      await Promise.all(kept);
    },
  };
}
