import { setTimeout as delay } from 'node:timers/promises';
import {
  createBoundary,
  type Hint,
  isAppError,
  isFromEdge,
  type Position,
  type StoredRecord,
  snapshotBatchRecords,
} from '@lockstep/contract';
import type { Logger } from 'pino';
import type { Feed } from './feed.ts';
import {
  type FeedToChild,
  type FeedToParent,
  feedWindowBytes,
  feedWindowMessages,
  snapshotBatchBytes,
} from './feed-message.ts';
import { sizeOf } from './size-of.ts';

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
 * Hands a feed on to a child process (see `createParentFeed`). The child sets the pace: a window of commits or batches is under way
 * at a time. Ends by itself when the channel closes. Returns a function that ends it earlier.
 */
export function serveFeed(
  child: ChildChannel,
  feed: Pick<Feed, 'follow'> & Partial<Feed>,
  log: Logger,
): () => void {
  const boundary = createBoundary(log);
  let following = new AbortController();
  /** The sizes of what the child has not answered, the oldest first. */
  let underWay: number[] = [];
  let bytesUnderWay = 0;
  let proceed: (() => void) | null = null;
  let unwatch: (() => void) | undefined;

  function send(message: FeedToChild): void {
    if (child.connected) child.send(message, () => {});
  }

  /** Sends as soon as the window has room for it, unless this following ends before. */
  async function sendInTurn(message: FeedToChild, bytes: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !hasRoom(bytes)) {
      await new Promise<void>((resolve) => {
        proceed = resolve;
      });
    }
    if (signal.aborted) return;
    underWay.push(bytes);
    bytesUnderWay += bytes;
    send(message);
  }

  function hasRoom(bytes: number): boolean {
    const { length } = underWay;
    return length === 0 || (length < feedWindowMessages && bytesUnderWay + bytes <= feedWindowBytes);
  }

  function onNext(count: number): void {
    for (const bytes of underWay.splice(0, count)) bytesUnderWay -= bytes;
    proceed?.();
    proceed = null;
  }

  async function sendRecords(records: StoredRecord[], signal: AbortSignal): Promise<void> {
    let page: StoredRecord[] = [];
    let bytes = 0;
    const sendPage = async () => {
      if (page.length > 0) await sendInTurn({ feed: 'records', records: page }, bytes, signal);
      page = [];
      bytes = 0;
    };
    for (const record of records) {
      const size = sizeOf(record);
      if (page.length >= snapshotBatchRecords || bytes + size > snapshotBatchBytes) await sendPage();
      page.push(record);
      bytes += size;
    }
    await sendPage();
  }

  function onTrouble(error: Error | null): void {
    send({ feed: 'trouble', detail: error === null ? null : error.message });
  }

  async function deliver(from: Position | null, signal: AbortSignal): Promise<void> {
    for await (const event of feed.follow(from, { signal, onTrouble })) {
      if (event.type === 'commit') {
        await sendInTurn({ feed: 'commit', entry: event.entry }, sizeOf(event.entry), signal);
      } else if (event.type === 'current') {
        send({ feed: 'current', position: event.position });
      } else {
        send({ feed: 'snapshot', position: event.position });
        for await (const batch of event.records) {
          await sendRecords(batch, signal);
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
        boundary.note('following', error);
        await delay(retryAfterMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  function end(): void {
    following.abort();
    underWay = [];
    bytesUnderWay = 0;
    proceed?.();
    proceed = null;
  }

  function watchHints(watch: boolean): void {
    unwatch?.();
    unwatch = watch ? feed.watchHints?.((hint) => send({ feed: 'hint', hint })) : undefined;
  }

  /** What a control plane says, no child does. */
  function passOn(hint: Hint): void {
    if (!isFromEdge(hint)) return;
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

  const onMessage = boundary.guard('feed', (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('feed' in message)) return;
    const asked = message as FeedToParent;
    if (asked.feed === 'follow') follow(asked.from);
    else if (asked.feed === 'report') answer(asked.id, feed.report?.(asked.report));
    else if (asked.feed === 'leave') {
      answer(asked.id, feed.leave?.(asked.node, asked.instance, { returns: asked.returns }));
    } else if (asked.feed === 'hint') passOn(asked.hint);
    else if (asked.feed === 'watchHints') watchHints(asked.watch);
    else if (asked.feed === 'next') onNext(asked.count);
  });

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
