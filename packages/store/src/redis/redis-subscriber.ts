import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import type { StoreLog } from '../log.ts';
import { createSubscriberClient, retryDelayMs } from './redis-clients.ts';
import { toStoreError } from './redis-error.ts';
import type { RedisTarget } from './store-url.ts';

const pingIntervalMs = 2_500;

/**
 * The connection for announcements. Listeners get each message, and null whenever some may have been lost: when the
 * connection breaks, and when the subscription stands (again). It connects with the first listener.
 */
export function createRedisSubscriber(target: RedisTarget, channels: string[], log: StoreLog) {
  const messages = new EventEmitter().setMaxListeners(0);
  const denied = new Set<string>();
  let client: Redis | null = null;
  let closed = false;
  let attempt = 0;
  let retryTimer: NodeJS.Timeout | undefined;
  let pingTimer: NodeJS.Timeout | undefined;

  return {
    on(channel: string, listener: (message: string | null) => void): () => void {
      messages.on(channel, listener);
      if (client === null && !closed) connect();
      // Whoever joins a standing subscription has missed nothing from here on.
      return () => messages.off(channel, listener);
    },

    close(): void {
      closed = true;
      clearTimeout(retryTimer);
      clearInterval(pingTimer);
      client?.disconnect();
    },
  };

  function connect(): void {
    const mine = createSubscriberClient(target, attempt);
    client = mine;
    mine.on('message', (channel: string, message: string) => messages.emit(channel, message));
    mine.on('error', (error: unknown) => {
      if (attempt === 0 && !closed) {
        const reason = toStoreError(error, target.shown).message;
        log.warn({ store: target.shown, reason }, 'announcements interrupted');
      }
    });
    mine.on('end', () => ended(mine));
    mine
      .connect()
      .then(() => Promise.all(channels.map((channel) => subscribe(mine, channel))))
      .then(
        () => {
          if (closed) return mine.disconnect();
          attempt = 0;
          lapse();
          watch(mine);
        },
        () => mine.disconnect(),
      );
  }

  /** One at a time: a user that may not hear one channel, as those made for an earlier version, hears the others. */
  async function subscribe(mine: Redis, channel: string): Promise<void> {
    try {
      await mine.subscribe(channel);
    } catch (error) {
      if (!(error instanceof Error && /^NOPERM/.test(error.message))) throw error;
      if (!denied.has(channel)) {
        log.warn({ store: target.shown, channel }, 'the Redis user may not hear this channel');
      }
      denied.add(channel);
    }
  }

  function ended(mine: Redis): void {
    if (client !== mine || closed) return;
    clearInterval(pingTimer);
    lapse();
    attempt += 1;
    retryTimer = setTimeout(connect, retryDelayMs(attempt));
  }

  /** A half-open connection would swallow announcements without a word. */
  function watch(mine: Redis): void {
    let answered = true;
    clearInterval(pingTimer);
    pingTimer = setInterval(() => {
      if (!answered) return mine.disconnect();
      answered = false;
      mine.ping().then(
        () => {
          answered = true;
        },
        () => {},
      );
    }, pingIntervalMs);
  }

  function lapse(): void {
    for (const channel of channels) messages.emit(channel, null);
  }
}

export type RedisSubscriber = ReturnType<typeof createRedisSubscriber>;
