import {
  type Audience,
  audienceOf,
  type Durability,
  defaultEventBounds,
  defaultJournalBounds,
  type LogEntry,
} from '@lockstep/contract';
import { type FollowSource, follow } from '../following/follower.ts';
import type { ConfigStore, Damage } from '../interface/config-store.ts';
import { type StoreLog, silentLog } from '../interface/log.ts';
import { createRareLog } from '../interface/rare-log.ts';
import { createNodesWord } from './nodes-word.ts';
import { createRedisCheck } from './redis-check.ts';
import { createRedisCommands } from './redis-commands.ts';
import { commitToRedis } from './redis-commit.ts';
import { createDurableScripts, notOnReplicas } from './redis-durable.ts';
import { createRedisEvents } from './redis-events.ts';
import { channelOf, parseHint } from './redis-hint.ts';
import { createRedisHistory } from './redis-history.ts';
import { createRedisJournal } from './redis-journal.ts';
import { createRedisKeys } from './redis-keys.ts';
import { createRedisLeases } from './redis-leases.ts';
import { createRedisLog, parseAnnouncement, readHeadOn } from './redis-log.ts';
import { openRedis } from './redis-open.ts';
import { createRedisPresence } from './redis-presence.ts';
import { createRedisRecords } from './redis-records.ts';
import { createRedisScan } from './redis-scan.ts';
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
  /** How many entries the change log keeps, at most. */
  logEntries?: number;
  /** How many bytes of changes the change log keeps, at most, beside its latest entry. */
  logBytes?: number;
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
  logBytes = 268_435_456,
  log = silentLog,
}: RedisStoreOptions): ConfigStore {
  const warn = createRareLog(log);
  let durability: Durability = { replicas: 0, timeoutMs: 0 };
  let journalBounds = defaultJournalBounds;
  let eventBounds = defaultEventBounds;
  const target = parseStoreUrl(url);
  const keys = createRedisKeys(prefix);
  const commands = createRedisCommands(target, log);
  const records = createRedisRecords(commands, keys, warn);
  // Of their own, so that reports and small reads do not wait behind what takes long.
  const bulk = createRedisCommands(target, log);
  const waiting = createRedisCommands(target, log, { blockedMs: () => durability.timeoutMs });
  const changeLog = createRedisLog(commands, keys, warn, 'control');
  const history = createRedisHistory(commands, keys, changeLog, log);
  const subscriber = createRedisSubscriber({
    target,
    log,
    head: () => changeLog.head().catch(() => null),
    headOn: (connection) => readHeadOn(connection, keys),
  });
  const durable = createDurableScripts(waiting, target.shown, () => durability);
  const leases = createRedisLeases(commands, keys);
  const presence = createRedisPresence(commands, subscriber, keys, history, log, warn);
  const hearNodes = createNodesWord(history, log);
  const checkKeys = createRedisCheck(commands, keys, warn);
  const list = createRedisScan(bulk, keys, warn);
  const sources = { control: sourceFor('control'), edge: sourceFor('edge') };

  return {
    get epoch() {
      return history.epoch;
    },
    get known() {
      return history.known;
    },
    get epochs() {
      return history.epochs;
    },
    open: (options) => openRedis(commands, keys, history, check, options, log),
    check,
    commit(commit) {
      const bounds = {
        log: { entries: logEntries, bytes: logBytes },
        journal: journalBounds,
        events: eventBounds,
      };
      return commitToRedis(runCommit, keys, history, check, bounds, commit);
    },
    ...records,
    head: history.head,
    standingOf: history.standingOf,
    listTurns: history.listTurns,
    readJournal: createRedisJournal(bulk, keys, history.now, () => journalBounds),
    boundJournal(bounds) {
      journalBounds = bounds;
    },
    readEvents: createRedisEvents(bulk, keys, history.now, () => eventBounds),
    boundEvents(bounds) {
      eventBounds = bounds;
    },
    readLog: changeLog.readAfter,
    follow: (from, options) => follow(sources[audienceOf(...options.kinds)], from, options),
    acquireLease: leases.acquire,
    renewLease: leases.renew,
    releaseLease: leases.release,
    reportNode: presence.report,
    removeNode: presence.remove,
    forgetNode: presence.forget,
    async listNodes() {
      const nodes = await presence.list();
      hearNodes(nodes);
      return nodes;
    },
    watchNodes: presence.watch,
    async sendHint(hint) {
      await commands.run((redis) => redis.publish(keys.hintChannels[channelOf(hint)], JSON.stringify(hint)));
    },
    watchHints(listener) {
      // Edges, which do not open the store, do not hear each other: their user may hear control planes alone.
      const heard = history.epoch === null ? (['toEdges'] as const) : (['fromEdges', 'toEdges'] as const);
      const unwatch = heard.map((channel) =>
        subscriber.on(keys.hintChannels[channel], (message) => {
          const hint = message === null ? null : parseHint(message, channel);
          if (hint !== null) listener(hint);
        }),
      );
      return () => {
        for (const stop of unwatch) stop();
      };
    },
    requireReplicas(wanted) {
      durability = wanted;
    },
    now: history.now,
    async close() {
      subscriber.close();
      for (const connection of [commands, bulk, waiting]) connection.close();
    },
  };

  async function check(): Promise<Damage[]> {
    const damages = await checkKeys();
    if (damages.some(({ key }) => key === keys.nodeIds)) await presence.enlistAgain();
    return damages;
  }

  async function runCommit(...script: Parameters<typeof commands.runScript>): Promise<unknown> {
    if (durability.replicas === 0) return commands.runScript(...script);
    const { answer, replicas } = await durable.run(...script);
    const made = Array.isArray(answer) && answer[0] === 'made';
    if (made && replicas < durability.replicas) throw notOnReplicas(durability, replicas);
    return answer;
  }

  function sourceFor(audience: Audience): FollowSource {
    return {
      head: history.head,
      readLog: createRedisLog(bulk, keys, warn, audience).readAfter,
      list,
      leftBehind: history.leftBehind,
      onAnnouncement: (listener) => onAnnouncement(audience, listener),
    };
  }

  function onAnnouncement(audience: Audience, listener: (entry: LogEntry | null) => void): () => void {
    return subscriber.on(keys[audience].commitsChannel, (message) => {
      const entry = message === null || message === 'turned' ? null : parseAnnouncement(audience, message);
      if (entry !== null) history.see(entry.position);
      else if (message !== null && message !== 'turned') {
        warn('commits', {}, 'an announcement cannot be read; the change log is looked at');
      }
      listener(entry);
    });
  }
}
