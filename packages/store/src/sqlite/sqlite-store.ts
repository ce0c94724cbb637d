import { EventEmitter } from 'node:events';
import { AppError, type Hint, type LogEntry, type Position } from '@lockstep/contract';
import { follow } from '../following/follower.ts';
import type { ConfigStore } from '../interface/config-store.ts';
import { withEpoch } from '../rules/lineage.ts';
import { type PreparedCommit, parseLogged, parseOrigin, prepareCommit } from '../rules/prepared-commit.ts';
import { createGroupCommit } from './group-commit.ts';
import { createMemoryLeases } from './memory-leases.ts';
import { createMemoryPresence } from './memory-presence.ts';
import { isDamage, isSqliteError, openDatabase } from './open-database.ts';
import { storeFormat, storeSchema } from './schema.ts';
import { createSqliteHistory } from './sqlite-commit.ts';
import { createSqliteEvents } from './sqlite-events.ts';
import { createSqliteJournal } from './sqlite-journal.ts';
import { readHead, readLogAfter } from './sqlite-log.ts';
import { createSqliteRecords } from './sqlite-records.ts';
import { createSqliteTurns } from './sqlite-turns.ts';
import { createStatements } from './statements.ts';

export interface SqliteStoreOptions {
  /** The file; `:memory:` for a store that ends with the process. */
  path: string;
  now?: () => number;
  /** How many entries the change log keeps. */
  logEntries?: number;
}

/**
 * The embedded store: one file, one process, every commit on the disk before it returns; those of one turn of the event loop share
 * a transaction. Throws `bad_configuration` when another process holds the file, when it cannot be written, and when it is not a store.
 */
export function createSqliteStore({
  path,
  now = Date.now,
  logEntries = 10_000,
}: SqliteStoreOptions): ConfigStore {
  const database = openStore(path);
  const sql = createStatements(database);
  const turns = createSqliteTurns(sql, now);
  const presence = createMemoryPresence(now, turns.standingOf);
  const leases = createMemoryLeases(nextGeneration, now);
  const { listWithUnreadable, ...reads } = createSqliteRecords(sql, attempt);
  const journal = createSqliteJournal(sql, now);
  const events = createSqliteEvents(sql, now);
  const history = createSqliteHistory({ sql, isHeld: leases.isHeld, now, logEntries, journal, events });
  const writes = createGroupCommit({ sql, ...history, toFailure });
  const announcements = new EventEmitter<{ commit: [LogEntry] }>().setMaxListeners(0);
  const hints = new EventEmitter<{ hint: [Hint] }>().setMaxListeners(0);
  let epoch: string | null = null;
  let known: Position | null = null;
  let epochs: readonly string[] = [];

  const store: ConfigStore = {
    get epoch() {
      return epoch;
    },

    get known() {
      return known;
    },

    get epochs() {
      return epochs;
    },

    async open(options) {
      return attempt(() => {
        epoch = turns.open(options);
        known = readHead(sql);
        const { earlierEpochs = [], expectedEpoch } = options;
        epochs = withEpoch(expectedEpoch === null ? [] : withEpoch(earlierEpochs, expectedEpoch), epoch);
        return epoch;
      });
    },

    async commit(commit) {
      const prepared = prepareCommit(commit);
      attempt(() => {});
      const { position, before } = await writes.add(() => history.apply(commit, prepared, epoch));
      // After this turn of the loop: whoever made it is not to wait until all who follow have worked on it.
      if (before !== null && announcements.listenerCount('commit') > 0)
        setImmediate(() => announcements.emit('commit', toEntry(position, before, prepared)));
      if (before !== null) known = position;
      return position;
    },

    ...reads,

    async head() {
      return attempt(knownHead);
    },

    async standingOf(positions) {
      return attempt(() => positions.map(turns.standingOf));
    },

    async listTurns() {
      return attempt(turns.listTurns);
    },

    async readJournal(page) {
      return attempt(() => journal.read(page));
    },

    boundJournal: journal.bound,

    async readEvents(page) {
      return attempt(() => events.read(page));
    },

    boundEvents: events.bound,

    async readLog(after, limit) {
      return attempt(() => readLogAfter(sql, knownHead(), after, limit));
    },

    follow(from, options) {
      return follow(
        {
          head: store.head,
          readLog: store.readLog,
          list: listWithUnreadable,
          onAnnouncement,
        },
        from,
        options,
      );
    },

    async acquireLease(name, ttlMs) {
      return attempt(() => leases.acquire(name, ttlMs));
    },

    async renewLease(lease, ttlMs) {
      return attempt(() => leases.renew(lease, ttlMs));
    },

    async releaseLease(lease) {
      attempt(() => leases.release(lease));
    },

    async reportNode(report) {
      presence.report(report);
    },

    async removeNode(node, instance, stop) {
      presence.remove(node, instance, stop);
    },

    async forgetNode(node) {
      return presence.forget(node);
    },

    async listNodes() {
      return attempt(presence.list);
    },

    watchNodes: presence.watch,

    async sendHint(hint) {
      attempt(() => {});
      hints.emit('hint', hint);
    },

    watchHints(listener) {
      hints.on('hint', listener);
      return () => hints.off('hint', listener);
    },

    requireReplicas() {},

    // A damaged file is refused when it is opened.
    check: async () => attempt(() => []),

    async now() {
      return now();
    },

    async close() {
      if (!database.isOpen) return;
      writes.flush();
      database.close();
    },
  };
  return store;

  function attempt<T>(work: () => T): T {
    if (!database.isOpen) throw new AppError('store_unavailable', 'the store is closed');
    try {
      return work();
    } catch (error) {
      throw toFailure(error);
    }
  }

  function toFailure(error: unknown): unknown {
    if (!isSqliteError(error)) return error;
    return new AppError('store_unavailable', `the store ${path} failed: ${(error as Error).message}`, {
      cause: error,
    });
  }

  /** How often this store has been opened by a process that granted leases. */
  function nextGeneration(): number {
    const row = sql(`INSERT INTO meta (key, value) VALUES ('generation', 1)
      ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value`).get();
    return Number(row?.value);
  }

  function knownHead(): Position {
    const head = readHead(sql);
    if (head === null) throw new AppError('store_lost', 'the store has not been created');
    return head;
  }

  function onAnnouncement(listener: (entry: LogEntry | null) => void): () => void {
    announcements.on('commit', listener);
    return () => announcements.off('commit', listener);
  }
}

function openStore(path: string) {
  try {
    return openDatabase({
      path,
      what: 'the store',
      synchronous: 'FULL',
      schema: storeSchema,
      format: storeFormat,
    });
  } catch (error) {
    if (!isDamage(error)) throw error;
    throw new AppError('bad_configuration', `the store ${path} is damaged, or is not a store`, {
      cause: error,
    });
  }
}

function toEntry(position: Position, before: Position, { origin, logged }: PreparedCommit): LogEntry {
  const previousCommitId = before.commitId || null;
  return { position, previousCommitId, ...parseOrigin(origin)!, changes: parseLogged(logged) ?? [] };
}
