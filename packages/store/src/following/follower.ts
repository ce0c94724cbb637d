import {
  AppError,
  audienceOf,
  continues,
  type FollowEvent,
  type Kind,
  type LogEntry,
  type Position,
  type StoredRecord,
  samePosition,
  snapshotBatchRecords,
} from '@lockstep/contract';
import type { ConfigStore, FollowOptions } from '../interface/config-store.ts';
import { createAnnouncementQueue } from './announcement-queue.ts';

export interface FollowSource extends Pick<ConfigStore, 'head' | 'readLog' | 'list'> {
  /**
   * Calls `listener` with each announced commit, and with null when some may have been lost: also once the subscription
   * stands, so that nothing falls between it and the log.
   */
  onAnnouncement(listener: (entry: LogEntry | null) => void): () => void;
  /** Called before the snapshot, when the log does not continue from where the follower stands. */
  leftBehind?(at: Position): Promise<void>;
}

export interface FollowTuning {
  /** How often the head is compared while nothing is announced. */
  checkIntervalMs?: number;
  /** Between attempts while the store is in trouble; doubled up to `maxRetryMs`. */
  retryMs?: number;
  maxRetryMs?: number;
  /** Announcements held for a slow consumer before it is sent to the log. */
  maxPending?: number;
}

const logBatchEntries = 100;

/**
 * `ConfigStore.follow` over any source: subscribe first, read what was missed from the log, then follow the announcements.
 * Announcements are hints: a gap, another predecessor, a lapse or a differing head sends it back to the log, and a log that
 * does not continue from here makes it take a snapshot.
 *
 * The `records` of a snapshot reject when the history changed under the scan, or when `signal` aborts: whatever came is to be
 * discarded, and the next event is a new snapshot.
 */
export async function* follow(
  source: FollowSource,
  from: Position | null,
  { kinds, signal, onTrouble }: FollowOptions,
  { checkIntervalMs = 3_000, retryMs = 100, maxRetryMs = 2_000, maxPending = 100 }: FollowTuning = {},
): AsyncGenerator<FollowEvent, void, undefined> {
  let at = from;
  /** Where the history stood when a scan ended: what it read may be of any commit up to this one. */
  let scanned: Position | null = null;
  let failures = 0;
  const queue = createAnnouncementQueue(maxPending, signal);
  const unsubscribe = source.onAnnouncement(queue.add);
  try {
    while (!signal.aborted) {
      try {
        yield* catchUp();
        yield* followAnnouncements();
      } catch (error) {
        await troubled(error);
      }
    }
  } finally {
    unsubscribe();
    queue.close();
  }

  async function* catchUp(): AsyncGenerator<FollowEvent, void, undefined> {
    while (!signal.aborted) {
      queue.willLook();
      const entries = at === null ? null : await source.readLog(at, logBatchEntries);
      if (entries === null) {
        if (at !== null) await source.leftBehind?.(at);
        yield* snapshot();
        continue;
      }
      well();
      if (leavesScanned(at!, entries)) {
        at = null;
        continue;
      }
      for (const entry of entries) {
        if (signal.aborted) return;
        yield deliver(entry);
      }
      // A store may give fewer than it was asked for and still have more.
      if (entries.length === 0) {
        if (!signal.aborted && at !== null) yield { type: 'current', position: at };
        return;
      }
    }
  }

  /** Returns when the log has to be read. */
  async function* followAnnouncements(): AsyncGenerator<FollowEvent, void, undefined> {
    while (at !== null) {
      const wake = await queue.next(checkIntervalMs);
      if (wake === 'stopped' || wake === 'look') return;
      if (wake === 'timeout') {
        if (!samePosition(await source.head(), at)) return;
      } else if (continues(at, wake)) {
        yield deliver(wake);
      } else if (!isOlder(at, wake.position)) {
        return;
      }
    }
  }

  async function* snapshot(): AsyncGenerator<FollowEvent, void, undefined> {
    const position = await source.head();
    let complete = false;
    yield { type: 'snapshot', position, records: scan() };
    if (signal.aborted) return;
    if (!complete) throw new AppError('store_unavailable', 'a snapshot was not read to its end');
    at = position;

    async function* scan(): AsyncGenerator<StoredRecord[], void, undefined> {
      for (const kind of kinds) {
        let cursor: string | undefined;
        do {
          const page = await persist(() => source.list<Kind>(kind, { limit: snapshotBatchRecords, cursor }));
          cursor = page.next ?? undefined;
          if (page.items.length > 0) yield page.items;
        } while (cursor !== undefined);
      }
      // A store that was wiped or failed over half-way would pass for one with fewer records.
      if ((await persist(() => source.readLog(position, 1))) === null) {
        throw new AppError('store_unavailable', 'the history moved on under a snapshot; another one follows');
      }
      scanned = await persist(() => source.head());
      complete = true;
    }
  }

  /** The history went back after a scan, and the scan may hold what is no longer part of it. */
  function leavesScanned(held: Position, entries: LogEntry[]): boolean {
    if (scanned === null || scanned.number <= held.number) return false;
    const there = entries.find(({ position }) => position.number === scanned!.number)?.position;
    return there === undefined ? entries.length === 0 : !samePosition(there, scanned);
  }

  /** Half a snapshot is worth finishing: a scan goes on from its cursor when the store is back. */
  async function persist<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      if (signal.aborted) throw new AppError('shutting_down', 'following was stopped during a snapshot');
      try {
        const result = await read();
        well();
        return result;
      } catch (error) {
        if (error instanceof AppError && error.code === 'store_lost') throw error;
        await troubled(error);
      }
    }
  }

  function deliver(entry: LogEntry): FollowEvent {
    const { position, previousCommitId, ...rest } = entry;
    at = position;
    const changes = entry.changes.filter((change) => kinds.includes(change.kind));
    // Whose it is concerns control planes alone.
    const origin = audienceOf(...kinds) === 'edge' ? {} : rest;
    return { type: 'commit', entry: { ...origin, position, previousCommitId, changes } };
  }

  function well(): void {
    if (failures > 0) onTrouble?.(null);
    failures = 0;
  }

  async function troubled(error: unknown): Promise<void> {
    if (signal.aborted) return;
    failures += 1;
    onTrouble?.(error instanceof Error ? error : new Error(String(error)));
    await queue.pause(Math.min(retryMs * 2 ** (failures - 1), maxRetryMs));
  }
}

/** Announced before the subscription stood still, and read from the log since. */
function isOlder(at: Position, position: Position): boolean {
  return position.epoch === at.epoch && (position.number < at.number || samePosition(position, at));
}
