import type { LogEntry } from '@lockstep/contract';

/** What woke the follower: an announced commit, the word to look at the log, or nothing for `checkIntervalMs`. */
export type Wake = LogEntry | 'look' | 'timeout' | 'stopped';

/**
 * Announcements on their way to one follower. It holds at most `limit` of them: a follower slower than that is sent to
 * the log instead, so that it costs no memory.
 */
export function createAnnouncementQueue(limit: number, signal: AbortSignal) {
  let entries: LogEntry[] = [];
  let look = false;
  let wake: (() => void) | null = null;
  const onAbort = () => wake?.();
  signal.addEventListener('abort', onAbort);

  return {
    /** null: some may have been lost. */
    add(entry: LogEntry | null): void {
      if (entry === null || entries.length >= limit) {
        entries = [];
        look = true;
      } else if (!look) {
        entries.push(entry);
      }
      wake?.();
    },

    /** Call before reading the log: what was lost up to now is about to be found there. */
    willLook(): void {
      look = false;
    },

    async next(timeoutMs: number): Promise<Wake> {
      if (!signal.aborted && !look && entries.length === 0) await sleep(timeoutMs);
      if (signal.aborted) return 'stopped';
      if (look) return 'look';
      return entries.shift() ?? 'timeout';
    },

    /** Waits, at most until `signal` aborts; announcements do not cut it short. */
    async pause(ms: number): Promise<void> {
      const until = performance.now() + ms;
      for (let left = ms; left > 0 && !signal.aborted; left = until - performance.now()) await sleep(left);
    },

    close(): void {
      signal.removeEventListener('abort', onAbort);
    },
  };

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      wake = done;
      function done() {
        clearTimeout(timer);
        wake = null;
        resolve();
      }
    });
  }
}
