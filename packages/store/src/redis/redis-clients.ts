import { createRequire } from 'node:module';
import type { Redis, RedisOptions } from 'ioredis';
import type { RedisTarget } from './store-url.ts';

const require = createRequire(import.meta.url);

/** Loaded with the first connection: whoever uses another store, or is fed by a parent, has no need of its 13 MB. */
const ioredis = (): typeof import('ioredis') => require('ioredis');

const connectTimeoutMs = 5_000;

// Left out, because ioredis types it without undefined.
type Options = Omit<RedisOptions, 'replyMapping'>;

function baseOptions({ tls, username, password }: RedisTarget): Options {
  return {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    maxLoadingRetryTime: 500,
    disableClientInfo: true,
    // A command lost with its connection fails at once and is never sent again: the caller decides.
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
  };
}

export function retryDelayMs(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.75 + Math.random() / 4);
}

/** Reconnects by itself, for ever. */
export function createCommandClient(target: RedisTarget, watch: (connection: Redis) => void): Redis {
  const options: Options = {
    ...baseOptions(target),
    retryStrategy: retryDelayMs,
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
  if (target.mode !== 'cluster') {
    const client = new (ioredis().Redis)({ ...options, ...placeOf(target, 0) });
    watch(client);
    return client;
  }
  const { retryStrategy: _, enableOfflineQueue: __, ...redisOptions } = options;
  const cluster = new (ioredis().Cluster)(target.nodes, {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: retryDelayMs,
    retryDelayOnFailover: 0,
    slotsRefreshTimeout: connectTimeoutMs,
    redisOptions,
  });
  cluster.on('+node', watch);
  // The commands of a cluster client are those of a single one; every key here lies in one slot.
  return cluster as unknown as Redis;
}

/**
 * One connection's life: it does not reconnect, so whoever made it knows of every lapse. In a Cluster any node will do, since
 * what is published reaches them all.
 */
export function createSubscriberClient(target: RedisTarget, attempt: number): Redis {
  return new (ioredis().Redis)({
    ...baseOptions(target),
    ...placeOf(target, attempt),
    retryStrategy: () => null,
  });
}

function placeOf(target: RedisTarget, attempt: number): Options {
  if (target.mode === 'sentinel') {
    return {
      sentinels: target.nodes,
      name: target.masterName,
      sentinelRetryStrategy: () => null,
      sentinelCommandTimeout: connectTimeoutMs,
      ...(target.tls ? { enableTLSForSentinelMode: true } : {}),
    };
  }
  return { ...target.nodes[attempt % target.nodes.length], db: target.db };
}
