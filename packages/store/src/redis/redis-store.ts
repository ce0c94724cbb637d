import type { LogEntry } from '@lockstep/contract';
import type { ConfigStore } from '../config-store.ts';
import { follow } from '../follower.ts';
import { type StoreLog, silentLog } from '../log.ts';
import { createRedisCommands } from './redis-commands.ts';
import { commitToRedis } from './redis-commit.ts';
import { parseHint } from './redis-hint.ts';
import { createRedisKeys } from './redis-keys.ts';
import { createRedisLeases } from './redis-leases.ts';
import { createRedisLog, parseAnnouncement } from './redis-log.ts';
import { openRedis } from './redis-open.ts';
import { createRedisPresence, toMs } from './redis-presence.ts';
import { createRedisRecords } from './redis-records.ts';
import { createRedisSubscriber } from './redis-subscriber.ts';
import { parseStoreUrl } from './store-url.ts';

export interface RedisStoreOptions {
  /**
   * `redis://` or `rediss://` `[user:password@]host:port[/db]`, `redis+sentinel://[user:password@]host:port,host:port/master-name`,
   * `redis+cluster://[user:password@]host:port,host:port`.
   */
  url: string;
  /** All keys and channels begin with `{prefix}:`. */
  prefix?: string;
  /** How many entries the change log keeps. */
  logEntries?: number;
  log?: StoreLog;
}

/**
 * The fleet's store, over Redis ≥ 7 or Valkey. It connects at the first call, and reconnects for ever. Throws
 * `bad_configuration` for a URL or prefix that cannot be read; `open` throws it for a server that would lose records.
 */
export function createRedisStore({
  url,
  prefix = 'lockstep',
  logEntries = 10_000,
  log = silentLog,
}: RedisStoreOptions): ConfigStore {
  const target = parseStoreUrl(url);
  const keys = createRedisKeys(prefix);
  const commands = createRedisCommands(target, log);
  const subscriber = createRedisSubscriber(
    target,
    [keys.commitsChannel, keys.nodesChannel, keys.hintChannels.ask, keys.hintChannels.verdict],
    log,
  );
  const records = createRedisRecords(commands, keys);
  const changeLog = createRedisLog(commands, keys);
  const leases = createRedisLeases(commands, keys);
  const presence = createRedisPresence(commands, subscriber, keys);
  const source = { head: changeLog.head, readLog: changeLog.readAfter, list: records.list, onAnnouncement };
  let epoch: string | null = null;

  return {
    get epoch() {
      return epoch;
    },
    async open(options) {
      epoch = await openRedis(commands, keys, options, log);
      return epoch;
    },
    commit: (commit) => commitToRedis(commands, keys, { epoch, logEntries }, commit),
    ...records,
    head: changeLog.head,
    readLog: changeLog.readAfter,
    follow: (from, options) => follow(source, from, options),
    acquireLease: leases.acquire,
    renewLease: leases.renew,
    releaseLease: leases.release,
    reportNode: presence.report,
    removeNode: presence.remove,
    listNodes: presence.list,
    watchNodes: presence.watch,
    async sendHint(hint) {
      await commands.run((redis) => redis.publish(keys.hintChannels[hint.hint], JSON.stringify(hint)));
    },
    watchHints(listener) {
      const unwatch = (['ask', 'verdict'] as const).map((kind) =>
        subscriber.on(keys.hintChannels[kind], (message) => {
          const hint = message === null ? null : parseHint(message, kind);
          if (hint !== null) listener(hint);
        }),
      );
      return () => {
        for (const stop of unwatch) stop();
      };
    },
    now: async () => toMs(await commands.run((redis) => redis.time())),
    async close() {
      subscriber.close();
      commands.close();
    },
  };

  function onAnnouncement(listener: (entry: LogEntry | null) => void): () => void {
    return subscriber.on(keys.commitsChannel, (message) =>
      listener(message === null ? null : parseAnnouncement(message)),
    );
  }
}
