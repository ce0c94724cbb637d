import { setTimeout as delay } from 'node:timers/promises';
import { type Boundary, isAppError } from '@lockstep/contract';
import type { Feed } from '../../feed/feed.ts';
import type { Configuration } from './configuration.ts';
import type { WorkerPorts } from './worker-ports.ts';

/** How soon a snapshot is asked for again when what came could not be applied; doubled each time. */
const askAgainFirstMs = 100;
const askAgainAtMostMs = 5_000;

export interface FollowFeedOptions {
  feed: Feed;
  configuration: Pick<Configuration, 'apply'>;
  ports: WorkerPorts;
  /** Called for each commit, once it is in force. */
  onApplied(): void;
  boundary: Boundary;
  signal: AbortSignal;
}

/** Puts in force what comes of a feed, and binds the ports with the first of it. Ends with `signal`; rejects when the ports cannot be bound. */
export async function followFeed(options: FollowFeedOptions): Promise<void> {
  const { feed, configuration, ports, onApplied, boundary, signal } = options;
  let pauseMs = askAgainFirstMs;
  while (!signal.aborted) {
    try {
      for await (const event of feed.follow(null, { signal })) {
        await ports.bound;
        if (event.type === 'current') continue;
        await configuration.apply(event);
        onApplied();
        await ports.bind();
        pauseMs = askAgainFirstMs;
      }
    } catch (error) {
      if (isAppError(error, 'bad_configuration')) throw error;
      // What came does not follow, cannot be read, or broke off in a snapshot: it goes on with a whole one.
      boundary.note('configuration', error);
    }
    if (signal.aborted) return;
    await delay(pauseMs, undefined, { signal }).catch(() => {});
    pauseMs = Math.min(pauseMs * 2, askAgainAtMostMs);
  }
}
