import { AppError, type Boundary, type FollowEvent, type Hint, type StoredRecord } from '@lockstep/contract';
import type { Feed } from './feed.ts';
import type { FeedToChild, FeedToParent } from './feed-message.ts';

/** Handled messages are answered in batches: once a turn, and after so many at the latest. */
const answerAfter = 16;

/** The part of `process` that a child uses to talk to its parent. */
export interface ParentChannel {
  send?(message: FeedToParent, callback: (error: Error | null) => void): boolean;
  on(event: 'message' | 'disconnect', listener: (message?: unknown) => void): unknown;
  off(event: 'message' | 'disconnect', listener: (message?: unknown) => void): unknown;
}

/** The feed of a child process, from the parent at the other end of its IPC channel (see `serveFeed`). */
export function createParentFeed(channel: ParentChannel, boundary: Boundary): Feed {
  const waiting: FeedToChild[] = [];
  const hintListeners = new Set<(hint: Hint) => void>();
  const reports = new Map<number, (error: AppError | null) => void>();
  let wake: (() => void) | null = null;
  let unanswered = 0;
  let reportId = 0;
  let handled = 0;
  let answerDue = false;
  let onTrouble: ((error: Error | null) => void) | undefined;

  let parentGone = false;

  function send(message: FeedToParent): void {
    // A parent that is gone is noticed by 'disconnect', which ends this process.
    channel.send?.(message, () => {});
  }

  function refuseReports(error: AppError): void {
    for (const settle of reports.values()) settle(error);
    reports.clear();
  }

  const onDisconnect = () => {
    parentGone = true;
    refuseReports(gone());
  };

  const onMessage = boundary.guard('feed', (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('feed' in message)) return;
    const event = message as FeedToChild;
    if (event.feed === 'reported') {
      reports.get(event.id)?.(event.error && new AppError(event.error.code, event.error.detail));
      reports.delete(event.id);
    } else if (event.feed === 'hint') {
      for (const listener of hintListeners) boundary.guard('hint', listener)(event.hint);
    } else if (event.feed === 'following') {
      unanswered -= 1;
    } else if (unanswered > 0) {
      // It belongs to an earlier following.
    } else if (event.feed === 'trouble') {
      onTrouble?.(event.detail === null ? null : new AppError('store_unavailable', event.detail));
    } else {
      waiting.push(event);
      wake?.();
    }
  });
  channel.on('message', onMessage);
  channel.on('disconnect', onDisconnect);

  async function take(signal: AbortSignal): Promise<FeedToChild | null> {
    while (waiting.length === 0) {
      if (signal.aborted) return null;
      answerSoon();
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return signal.aborted ? null : waiting.shift()!;
  }

  function answer(): void {
    if (handled > 0) send({ feed: 'next', count: handled });
    handled = 0;
  }

  function answerSoon(): void {
    if (handled === 0 || answerDue) return;
    answerDue = true;
    setImmediate(
      boundary.guard('feed', () => {
        answerDue = false;
        answer();
      }),
    );
  }

  function onHandled(): void {
    handled += 1;
    if (handled >= answerAfter) answer();
  }

  async function* records(signal: AbortSignal): AsyncGenerator<StoredRecord[]> {
    while (true) {
      const message = await take(signal);
      if (message?.feed === 'records') {
        yield message.records;
        onHandled();
      } else if (message?.feed === 'snapshotEnd') {
        return;
      } else {
        if (message !== null) waiting.unshift(message);
        throw new AppError('store_unavailable', 'the snapshot was broken off');
      }
    }
  }

  function ask(message: (id: number) => FeedToParent): Promise<void> {
    // Whoever stops because of it does not wait for its answer.
    if (parentGone) return Promise.reject(gone());
    reportId += 1;
    const id = reportId;
    return new Promise((resolve, reject) => {
      reports.set(id, (error) => (error === null ? resolve() : reject(error)));
      send(message(id));
    });
  }

  return {
    async *follow(from, { signal, onTrouble: tell }): AsyncGenerator<FollowEvent> {
      waiting.length = 0;
      handled = 0;
      onTrouble = tell;
      unanswered += 1;
      send({ feed: 'follow', from });
      const onAbort = () => wake?.();
      signal.addEventListener('abort', onAbort);
      try {
        while (true) {
          const message = await take(signal);
          if (message === null) return;
          if (message.feed === 'snapshot') {
            yield { type: 'snapshot', position: message.position, records: records(signal) };
          } else if (message.feed === 'commit') {
            yield { type: 'commit', entry: message.entry };
            onHandled();
          } else if (message.feed === 'records') {
            onHandled(); // of a snapshot that was given up
          } else if (message.feed === 'current') {
            yield { type: 'current', position: message.position };
          }
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
    report: (report) => ask((id) => ({ feed: 'report', id, report })),
    leave: (node, instance, { returns }) => ask((id) => ({ feed: 'leave', id, node, instance, returns })),
    async sendHint(hint) {
      send({ feed: 'hint', hint });
    },
    watchHints(listener) {
      hintListeners.add(listener);
      if (hintListeners.size === 1) send({ feed: 'watchHints', watch: true });
      return () => {
        if (hintListeners.delete(listener) && hintListeners.size === 0) {
          send({ feed: 'watchHints', watch: false });
        }
      };
    },
    async close() {
      channel.off('message', onMessage);
      channel.off('disconnect', onDisconnect);
      refuseReports(new AppError('shutting_down', 'the feed was closed'));
    },
  };
}

function gone(): AppError {
  return new AppError('store_unavailable', 'the parent process is gone');
}
