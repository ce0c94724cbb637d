import type { FollowEvent, Hint, NodeReport, Position } from '@lockstep/contract';

/**
 * Where a process of the edge gets its configuration from and where it reports to: the store (a supervisor over Redis), the
 * parent process (an edge under `lockstep up`, a worker under its supervisor), later others.
 */
export interface Feed {
  /** As `ConfigStore.follow`, for the kinds an edge needs. Ends when `signal` aborts. */
  follow(
    from: Position | null,
    options: { signal: AbortSignal; onTrouble?: (error: Error | null) => void },
  ): AsyncIterable<FollowEvent>;
  /** As `ConfigStore.reportNode`: heartbeat and acknowledgement. */
  report(report: NodeReport): Promise<void>;
  /** As `ConfigStore.removeNode`, on a graceful stop. */
  leave(node: string, instance: string, stop: { returns: boolean }): Promise<void>;
  /** As `ConfigStore.sendHint` and `watchHints`: what is sent either way may be lost. */
  sendHint(hint: Hint): Promise<void>;
  watchHints(listener: (hint: Hint) => void): () => void;
  close(): Promise<void>;
}
