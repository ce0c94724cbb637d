import { setTimeout as delay } from 'node:timers/promises';
import {
  type FeedToChild,
  type FeedToParent,
  type Hint,
  isAppError,
  type Position,
  snapshotBatchRecords,
} from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Feed } from './feed.ts';

/** The part of a `ChildProcess` that its parent feeds it through. */
export interface ChildChannel {
  readonly connected: boolean;
  send(message: FeedToChild, callback: (error: Error | null) => void): boolean;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
  off(event: 'message', listener: (message: unknown) => void): unknown;
}

const retryAfterMs = 1_000;

/**
 * Hands a feed on to a child process (see `createParentFeed`). The child sets the pace: one batch or commit is under way at a
 * time. Ends by itself when the channel closes. Returns a function that ends it earlier.
 */
export function serveFeed(
  child: ChildChannel,
  feed: Pick<Feed, 'follow'> & Partial<Feed>,
  log: Logger,
): () => void {
  let following = new AbortController();
  let proceed: (() => void) | null = null;
  let unwatch: (() => void) | undefined;

  function send(message: FeedToChild): void {
    if (child.connected) child.send(message, () => {});
  }

  /** Sends, and waits for `next` or for the end of this following. */
  function sendAndWait(message: FeedToChild, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      proceed = resolve;
      send(message);
    });
  }

  async function deliver(from: Position | null, signal: AbortSignal): Promise<void> {
    for await (const event of feed.follow(from, { signal })) {
      if (event.type === 'commit') {
        await sendAndWait({ feed: 'commit', entry: event.entry }, signal);
      } else if (event.type === 'current') {
        send({ feed: 'current', position: event.position });
      } else {
        send({ feed: 'snapshot', position: event.position });
        for await (const batch of event.records) {
          for (let i = 0; i < batch.length; i += snapshotBatchRecords) {
            await sendAndWait({ feed: 'records', records: batch.slice(i, i + snapshotBatchRecords) }, signal);
          }
          if (signal.aborted) return;
        }
        send({ feed: 'snapshotEnd' });
      }
      if (signal.aborted) return;
    }
  }

  function follow(from: Position | null): void {
    end();
    following = new AbortController();
    const { signal } = following;
    send({ feed: 'following' });
    void keepDelivering(from, signal);
  }

  async function keepDelivering(from: Position | null, signal: AbortSignal): Promise<void> {
    for (let at = from; !signal.aborted; at = null) {
      try {
        await deliver(at, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error }, 'feeding a child broke off; it starts again with a snapshot');
        await delay(retryAfterMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  function end(): void {
    following.abort();
    proceed?.();
    proceed = null;
  }

  function watchHints(watch: boolean): void {
    unwatch?.();
    unwatch = watch ? feed.watchHints?.((hint) => send({ feed: 'hint', hint })) : undefined;
  }

  /** A child may ask; verdicts are a control plane's. */
  function passOn(hint: Hint): void {
    if (hint.hint !== 'ask') return;
    feed.sendHint?.(hint).catch((error) => log.debug({ err: error }, 'a hint was not sent'));
  }

  function answer(id: number, asked: Promise<void> | undefined): void {
    Promise.resolve(asked).then(
      () => send({ feed: 'reported', id, error: null }),
      (error) => {
        const code = isAppError(error) ? error.code : 'internal';
        const detail = isAppError(error) ? error.message : 'the report failed';
        send({ feed: 'reported', id, error: { code, detail } });
      },
    );
  }

  function onMessage(message: unknown): void {
    if (typeof message !== 'object' || message === null || !('feed' in message)) return;
    const asked = message as FeedToParent;
    if (asked.feed === 'follow') follow(asked.from);
    else if (asked.feed === 'report') answer(asked.id, feed.report?.(asked.report));
    else if (asked.feed === 'leave') answer(asked.id, feed.leave?.(asked.node, asked.instance));
    else if (asked.feed === 'hint') passOn(asked.hint);
    else if (asked.feed === 'watchHints') watchHints(asked.watch);
    else {
      const resolve = proceed;
      proceed = null;
      resolve?.();
    }
  }

  function stop(): void {
    watchHints(false);
    end();
  }

  child.on('message', onMessage);
  child.on('disconnect', stop);
  return () => {
    child.off('message', onMessage);
    stop();
  };
}
