import type { FollowEvent, LogEntry, StoredRecord } from '@lockstep/contract';
import type { ConfigCache } from '@lockstep/store';

/** Hands what is on disk, and then each change, to any number of followers, each at its own pace. */
export interface FanOut {
  /** To the followers at once, before it is on disk; `written` says that the first so many in `unwritten` are. */
  commit(entry: LogEntry): void;
  written(count: number): void;
  /** Commits that the disk has not taken yet, in order. */
  readonly unwritten: readonly LogEntry[];
  /** What is on disk was replaced. */
  snapshot(): void;
  /** What is on disk was lost; a snapshot follows. */
  lost(): void;
  /** Begins with a snapshot as soon as there is one. */
  follow(signal: AbortSignal): AsyncGenerator<FollowEvent>;
  close(): void;
}

const maxWaiting = 10_000;

interface Follower {
  waiting: (LogEntry | 'snapshot')[];
  wake(): void;
}

export function createFanOut(cache: ConfigCache): FanOut {
  const followers = new Set<Follower>();
  let unwritten: LogEntry[] = [];
  let closed = false;

  async function* records(): AsyncGenerator<StoredRecord[]> {
    for (const batch of cache.batches()) yield batch;
  }

  async function* follow(signal: AbortSignal): AsyncGenerator<FollowEvent> {
    const follower: Follower = { waiting: [], wake: () => {} };
    if (cache.position() !== null) follower.waiting.push('snapshot');
    follower.waiting.push(...unwritten);
    followers.add(follower);
    const onAbort = () => follower.wake();
    signal.addEventListener('abort', onAbort);
    try {
      while (!signal.aborted && !closed) {
        const next = follower.waiting.shift();
        if (next === undefined) {
          await new Promise<void>((resolve) => {
            follower.wake = resolve;
          });
        } else if (next === 'snapshot') {
          const position = cache.position();
          if (position === null) continue;
          // Commits that waited behind it and are on disk by now are part of it.
          follower.waiting = follower.waiting.filter(
            (entry) =>
              entry === 'snapshot' ||
              entry.position.epoch !== position.epoch ||
              entry.position.number > position.number,
          );
          yield { type: 'snapshot', position, records: records() };
        } else {
          yield { type: 'commit', entry: next };
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      followers.delete(follower);
    }
  }

  return {
    commit(entry) {
      unwritten.push(entry);
      for (const follower of followers) {
        follower.waiting.push(entry);
        // One that does not keep up costs no memory: it is given what is on disk, and what is not.
        if (follower.waiting.length > maxWaiting) follower.waiting = ['snapshot', ...unwritten];
        follower.wake();
      }
    },
    written(count) {
      unwritten = unwritten.slice(count);
    },
    get unwritten() {
      return unwritten;
    },
    lost() {
      unwritten = [];
    },
    snapshot() {
      unwritten = [];
      for (const follower of followers) {
        follower.waiting = ['snapshot'];
        follower.wake();
      }
    },
    follow,
    close() {
      closed = true;
      for (const follower of followers) follower.wake();
    },
  };
}
