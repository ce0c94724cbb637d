import { setImmediate } from 'node:timers/promises';
import {
  AppError,
  type ConfirmationRecord,
  type FeedState,
  type FollowEvent,
  type HeldSnapshot,
  isAppError,
  type LogEntry,
  type OnDemand,
  type Position,
  type StoredRecord,
  settingsId,
} from '@lockstep/contract';
import { type ConfigCache, revisionOf, type StagedSnapshot } from '@lockstep/store';
import type { Logger } from 'pino';
import type { Feed } from '../feed/feed.ts';
import { createFanOut } from './fan-out.ts';

const retryAfterMs = 1_000;
const saveAgainMs = 5_000;
const lookAgainFirstMs = 2_000;
const lookAgainAtMostMs = 60_000;
/** An edge with a single host is not worth guarding: removing it is an ordinary change. */
const guardFromHosts = 2;

export interface ReplicaOptions {
  node: string;
  cache: ConfigCache;
  feed: Pick<Feed, 'follow'>;
  log: Logger;
  /** Called before a snapshot is taken; throws `wrong_secret_key` when its secrets cannot be opened. */
  checkKey?: (() => Promise<void>) | undefined;
  onChange(): void;
  /** How soon the disk is tried again after it took no commit. Default 5 s. */
  saveAgainMs?: number;
  /** The replica cannot go on, and nothing will change that. */
  onFatal(error: AppError): void;
}

/**
 * The edge's own copy of the configuration: follows a feed, hands each change on to the workers and keeps it on disk. A snapshot that
 * would remove more than half of the hosts is held back until an operator confirms it, or until the feed offers a better one.
 */
export interface Replica {
  /** Follows the replica itself: what is on disk as a snapshot, then each change. */
  readonly feed: Pick<Feed, 'follow'>;
  /** What the workers are given: what is on disk, and the commits that it has not taken. Null before the first snapshot. */
  position(): Position | null;
  /** Commits that are in memory alone, as the disk does not take them. */
  readonly unsaved: number;
  readonly held: HeldSnapshot | null;
  /** What the settings say of unknown names; null: nothing. */
  readonly onDemand: OnDemand | null;
  /** How following the feed stands. */
  readonly state: FeedState;
  start(): void;
  /** Follows the feed anew from what is on disk. */
  restart(): void;
  close(): Promise<void>;
}

type Snapshot = Extract<FollowEvent, { type: 'snapshot' }>;

export function createReplica(options: ReplicaOptions): Replica {
  const { node, cache, feed, log } = options;
  const stopped = new AbortController();
  const fanOut = createFanOut(cache);
  let round = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let held: HeldSnapshot | null = null;
  let trouble: Error | null = null;
  let state: FeedState = standing('syncing', null);
  let onDemand = savedOnDemand();
  let unsavable = false;
  let saveTimer: NodeJS.Timeout | undefined;
  let lookAgainMs = lookAgainFirstMs;
  let lookAgainTimer: NodeJS.Timeout | undefined;

  function savedOnDemand(): OnDemand | null {
    try {
      return cache.get('settings', settingsId)?.value.config.onDemand ?? null;
    } catch {
      return null; // damaged: it was set aside, and a snapshot follows
    }
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      round = new AbortController();
      const signal = AbortSignal.any([stopped.signal, round.signal]);
      // Nothing on disk can continue from a held snapshot; it is taken whole again. Nor does what lacks a kind.
      const from = held === null && cache.isComplete() ? position() : null;
      try {
        for await (const event of feed.follow(from, { signal, onTrouble })) {
          if (event.type === 'snapshot') await takeSnapshot(event);
          else if (event.type === 'commit') await takeCommit(event.entry);
          if (state.state === 'syncing') state = standing('following', null);
        }
      } catch (error) {
        // An edge that serves goes on serving, whatever the store has become.
        if (isAppError(error, 'wrong_secret_key') && cache.position() === null) return options.onFatal(error);
        if (stopped.signal.aborted) return;
        log.warn({ err: error }, 'following broke off; it starts again');
        await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
      }
    }
  }

  function onTrouble(error: Error | null): void {
    if (error !== null && trouble === null) log.warn({ err: error }, 'the configuration cannot be followed');
    if (error === null && trouble !== null) log.info('the configuration is followed again');
    trouble = error;
    state = error === null ? standing('following', null) : standing('broken', error.message);
    options.onChange();
  }

  async function takeCommit(entry: LogEntry): Promise<void> {
    if (held !== null) {
      const confirmed = entry.changes.some(({ kind, id }) => kind === 'confirmation' && id === node);
      lookAgainIn(confirmed ? 0 : lookAgainFirstMs);
      return;
    }
    if (!follows(entry, position())) {
      throw new AppError('internal', `revision ${entry.position.number} does not follow what is held`);
    }
    for (const change of entry.changes) {
      if (change.kind === 'settings') onDemand = change.op === 'put' ? change.value.config.onDemand : null;
    }
    fanOut.commit(entry);
    // The workers first: they swap while the disk is written.
    await setImmediate();
    save();
    options.onChange();
  }

  function position(): Position | null {
    return fanOut.unwritten.at(-1)?.position ?? cache.position();
  }

  /** A disk that is full must not keep the workers from later changes: what it does not take is kept, and offered again. */
  function save(): void {
    clearTimeout(saveTimer);
    try {
      for (const entry of [...fanOut.unwritten]) {
        cache.apply(entry);
        fanOut.written();
      }
      if (unsavable) log.info('the configuration is saved again');
      unsavable = false;
    } catch (error) {
      if (!unsavable) log.error({ err: error }, 'changes are in force but cannot be saved on this disk');
      unsavable = true;
      // Damaged, and set aside: the feed is followed anew from nothing.
      if (cache.position() === null) fanOut.lost();
      else if (!stopped.signal.aborted) saveTimer = setTimeout(save, options.saveAgainMs ?? saveAgainMs);
    }
  }

  async function takeSnapshot({ position, records }: Snapshot): Promise<void> {
    await options.checkKey?.();
    let confirmation: ConfirmationRecord | null = null;
    async function* watched(): AsyncGenerator<StoredRecord[]> {
      for await (const batch of records) {
        for (const record of batch) {
          if (record.kind === 'confirmation' && record.id === node) confirmation = record.value;
        }
        yield batch;
      }
    }
    const staged = await cache.stage({ type: 'snapshot', position, records: watched() });
    const wiped = wipedBy(staged);
    if (wiped !== null) {
      const offered = holdable(position, wiped.hosts, wiped.removed);
      if (!covers(confirmation, offered)) {
        staged.discard();
        hold(offered);
        return;
      }
      log.warn({ ...offered }, 'an operator confirmed the snapshot that was held back');
    }
    staged.accept();
    onDemand = savedOnDemand();
    clearTimeout(lookAgainTimer);
    lookAgainTimer = undefined;
    lookAgainMs = lookAgainFirstMs;
    held = null;
    fanOut.snapshot();
    options.onChange();
  }

  /**
   * What a snapshot would wipe; null when it leaves enough. Certificates count for themselves: a history begun anew gets its routes
   * back before them, and hosts that are served on demand have no route.
   */
  function wipedBy({ removed }: StagedSnapshot): { hosts: number; removed: number } | null {
    const counts = [
      { hosts: cache.hosts(), removed: removed.hosts },
      { hosts: cache.count('certificate'), removed: removed.certificates },
    ];
    const wiped = counts.filter((count) => count.hosts >= guardFromHosts && count.removed * 2 > count.hosts);
    return wiped.sort((a, b) => b.removed - a.removed)[0] ?? null;
  }

  /** An operator confirms the revision that was reported; it stays as long as what is offered has not become worse. */
  function holdable(position: Position, hosts: number, removed: number): HeldSnapshot {
    const same = held !== null && held.revision.epoch === position.epoch && removed <= held.removed;
    return { revision: same ? held!.revision : revisionOf(position), hosts, removed };
  }

  function hold(offered: HeldSnapshot): void {
    if (held === null) {
      log.error({ ...offered }, 'a snapshot would remove most hosts and is held back until it is confirmed');
    }
    held = offered;
    lookAgainIn(lookAgainMs);
    lookAgainMs = Math.min(lookAgainMs * 2, lookAgainAtMostMs);
    options.onChange();
  }

  let lookAgainAt = 0;
  function lookAgainIn(delayMs: number): void {
    const at = Date.now() + delayMs;
    if (lookAgainTimer !== undefined && lookAgainAt <= at) return;
    clearTimeout(lookAgainTimer);
    lookAgainAt = at;
    lookAgainTimer = setTimeout(() => {
      lookAgainTimer = undefined;
      round.abort();
    }, delayMs);
  }

  return {
    feed: { follow: (_from, { signal }) => fanOut.follow(signal) },
    position,
    get unsaved() {
      return unsavable ? fanOut.unwritten.length : 0;
    },
    get held() {
      return held;
    },
    get onDemand() {
      return onDemand;
    },
    get state() {
      return state;
    },
    start() {
      running = run();
    },
    restart() {
      round.abort();
    },
    async close() {
      stopped.abort();
      clearTimeout(lookAgainTimer);
      fanOut.close();
      await running;
      clearTimeout(saveTimer);
    },
  };
}

function standing(state: FeedState['state'], detail: string | null): FeedState {
  return { state, since: new Date().toISOString(), detail, records: null };
}

function follows({ position, previousCommitId }: LogEntry, held: Position | null): boolean {
  return (
    held !== null &&
    held.epoch === position.epoch &&
    held.number + 1 === position.number &&
    held.commitId === (previousCommitId ?? '')
  );
}

function covers(confirmation: ConfirmationRecord | null, { revision }: HeldSnapshot): boolean {
  return (
    confirmation !== null &&
    confirmation.revision.epoch === revision.epoch &&
    confirmation.revision.number >= revision.number
  );
}
