import { EventEmitter } from 'node:events';
import type { Position } from '@lockstep/contract';
import type { Redis } from 'ioredis';
import type { StoreLog } from '../interface/log.ts';
import { watchProgress } from './connection-progress.ts';
import { createSubscriberClient, retryDelayMs } from './redis-clients.ts';
import { toStoreError } from './redis-error.ts';
import type { RedisTarget } from './store-url.ts';

const checkIntervalMs = 2_500;

export interface SubscriberOptions {
  target: RedisTarget;
  log: StoreLog;
  /** The head on the connection for commands; null where it cannot be read. */
  head(): Promise<Position | null>;
  /** The head on the given connection. */
  headOn(connection: Redis): Promise<Position | null>;
}

/**
 * The connection for announcements. Listeners get each message of their channel, and null whenever some may have been lost: when
 * the connection breaks, and when their subscription stands (again). It connects with the first listener. A connection that says
 * nothing, that leads to a replica, or whose head is behind that of the other connection hears nothing that matters: it is
 * given up. What a listener throws is logged, and reaches nobody else.
 */
export function createRedisSubscriber({ target, log, head, headOn }: SubscriberOptions) {
  const messages = new EventEmitter().setMaxListeners(0);
  const channels = new Set<string>();
  const denied = new Set<string>();
  let client: Redis | null = null;
  let standing = false;
  let closed = false;
  let attempt = 0;
  let troubled = false;
  let retryTimer: NodeJS.Timeout | undefined;
  let checkTimer: NodeJS.Timeout | undefined;

  return {
    on(channel: string, listener: (message: string | null) => void): () => void {
      const guarded = guard(channel, listener);
      messages.on(channel, guarded);
      if (!channels.has(channel)) {
        channels.add(channel);
        // Whoever joins a standing subscription has missed nothing from here on.
        if (standing) join(client!, channel);
      }
      if (client === null && !closed) connect();
      return () => messages.off(channel, guarded);
    },

    close(): void {
      closed = true;
      clearTimeout(retryTimer);
      clearTimeout(checkTimer);
      client?.disconnect();
    },
  };

  function guard(channel: string, listener: (message: string | null) => void) {
    return (message: string | null) => {
      try {
        listener(message);
      } catch (error) {
        log.warn({ store: target.shown, channel, err: error }, 'a message of Redis could not be dealt with');
      }
    };
  }

  function connect(): void {
    const mine = createSubscriberClient(target, attempt);
    client = mine;
    watchProgress(mine);
    let first: string[] = [];
    mine.on('message', (channel: string, message: string) => messages.emit(channel, message));
    mine.on('error', (error: unknown) => trouble(toStoreError(error, target.shown).message));
    mine.on('end', () => ended(mine));
    mine
      .connect()
      .then(() => {
        first = [...channels];
        return Promise.all(first.map((channel) => subscribe(mine, channel)));
      })
      .then(() => check(mine, 0))
      .then(
        (fault) => {
          if (closed || fault !== null) return giveUp(mine, fault ?? 'closed');
          attempt = 0;
          standing = true;
          if (troubled) log.info({ store: target.shown }, 'announcements are heard again');
          troubled = false;
          for (const channel of channels) if (!first.includes(channel)) join(mine, channel);
          lapse();
          watch(mine);
        },
        () => mine.disconnect(),
      );
  }

  function join(mine: Redis, channel: string): void {
    subscribe(mine, channel).then(
      () => messages.emit(channel, null),
      () => mine.disconnect(),
    );
  }

  /** One at a time: a user that may not hear one channel hears the others. */
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
    clearTimeout(checkTimer);
    standing = false;
    lapse();
    attempt += 1;
    trouble('the connection ended');
    retryTimer = setTimeout(connect, retryDelayMs(attempt));
  }

  function trouble(reason: string): void {
    if (troubled || closed) return;
    troubled = true;
    log.warn({ store: target.shown, reason }, 'announcements interrupted');
  }

  function giveUp(mine: Redis, reason: string): void {
    trouble(reason);
    mine.disconnect();
  }

  function watch(mine: Redis, odd = 0): void {
    checkTimer = setTimeout(() => {
      check(mine, odd).then(
        (fault) => {
          if (client !== mine || closed) return;
          if (fault !== null && fault !== 'odd') giveUp(mine, fault);
          else watch(mine, fault === 'odd' ? odd + 1 : 0);
        },
        () => mine.disconnect(),
      );
    }, checkIntervalMs);
  }

  /** What is wrong with the server at the other end, or null. `odd`: how often in a row its epoch was another. */
  async function check(mine: Redis, odd: number): Promise<string | null> {
    // The other connection first: what it knows has to be known here by the time of the second look.
    const there = await head();
    const [here, role] = await Promise.all([headOn(mine), readRole(mine)]);
    // In a Cluster any server passes announcements on.
    if (role !== 'master' && target.mode !== 'cluster') return 'the server is a replica';
    if (there === null || here === null) return null;
    if (here.epoch !== there.epoch) return odd > 0 ? 'the server holds another history' : 'odd';
    return here.number < there.number ? 'the server’s history stands still' : null;
  }

  function lapse(): void {
    for (const channel of channels) messages.emit(channel, null);
  }
}

async function readRole(client: Redis): Promise<string> {
  return /^role:(\w+)/m.exec(await client.info('replication'))?.[1] ?? 'master';
}

export type RedisSubscriber = ReturnType<typeof createRedisSubscriber>;
