import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import {
  AppError,
  type Boundary,
  type ConfirmationRecord,
  changeFault,
  continues,
  type DrainRecord,
  type EdgeSettingsRecord,
  edgeSettingsId,
  type FeedState,
  type FollowEvent,
  type HeldSnapshot,
  isAppError,
  isPosition,
  type Kind,
  type LogEntry,
  type LoggedChange,
  type Position,
  type RecordValues,
  recordFault,
  type StoredRecord,
} from '@lockstep/contract';
import type { ConfigCache, StagedSnapshot } from '@lockstep/store';
import type { Logger } from 'pino';
import type { Feed } from '../feed/feed.ts';
import { createFanOut } from './fan-out.ts';
import { createWipeGuard } from './wipe-guard.ts';

const retryAfterMs = 1_000;
const saveAgainMs = 5_000;
/** More commits than that, and the feed waits until the disk has had its turn. */
const maxUnwritten = 64;

export interface ReplicaOptions {
  node: string;
  cache: ConfigCache;
  feed: Pick<Feed, 'follow'>;
  log: Logger;
  boundary: Boundary;
  /** Called before a snapshot is taken; throws `wrong_secret_key` when its secrets cannot be opened. */
  checkKey?: (() => Promise<void>) | undefined;
  onChange(): void;
  /** How soon the disk is tried again after it took no commit. Default 5 s. */
  saveAgainMs?: number;
  /** How soon a snapshot that is held back is looked at again; doubled each time, up to 60 s. Default 2 s. */
  lookAgainMs?: number;
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
  /** The last commit that had something for this edge, as far as is known; null: it is not. */
  readonly concerned: Position | null;
  /** Commits that are in memory alone, as the disk does not take them. */
  readonly unsaved: number;
  readonly held: HeldSnapshot | null;
  /** Null without settings. */
  readonly settings: EdgeSettingsRecord | null;
  /** Whether this node is to get no more traffic; null: it is. */
  readonly drain: DrainRecord | null;
  /** How following the feed stands. */
  readonly state: FeedState;
  /** Since when this has not been what the store says, in milliseconds since 1970; null while it is. */
  readonly behindSince: number | null;
  start(): void;
  /** Follows the feed anew from what is on disk. */
  restart(): void;
  /** The disk lost some of it: the same, and commits that waited for it have nothing to continue from. */
  lost(): void;
  close(): Promise<void>;
}

type Snapshot = Extract<FollowEvent, { type: 'snapshot' }>;

export function createReplica(options: ReplicaOptions): Replica {
  const { node, cache, feed, log, boundary } = options;
  const stopped = new AbortController();
  const fanOut = createFanOut(cache);
  let round = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const guard = createWipeGuard({
    cache,
    log,
    boundary,
    lookAgainMs: options.lookAgainMs,
    onLook: () => round.abort(),
  });
  let state = standing('syncing', null);
  let behindSince: number | null = Date.now();
  let toldTrouble = false;
  let concerned: Position | null = null;
  /** Records of the snapshot that is being read. */
  let scanning: number | null = null;
  let settings = saved('edge-settings', edgeSettingsId);
  let drain = saved('drain', node);
  let unsavable = false;
  let saving: NodeJS.Immediate | null = null;
  let saveTimer: NodeJS.Timeout | undefined;

  function saved<K extends Kind>(kind: K, id: string): RecordValues[K] | null {
    try {
      const record = cache.get(kind, id);
      return record === null || recordFault(record) !== null ? null : record.value;
    } catch {
      return null; // damaged: it was set aside, and a snapshot follows
    }
  }

  async function run(): Promise<void> {
    let continuing = true;
    while (!stopped.signal.aborted) {
      round = new AbortController();
      const signal = AbortSignal.any([stopped.signal, round.signal]);
      try {
        // Nothing on disk can continue from a held snapshot; it is taken whole again. Nor does what is not whole.
        const from = continuing && guard.held === null && cache.isComplete() ? position() : null;
        continuing = true;
        for await (const event of feed.follow(from, { signal, onTrouble })) {
          if (event.type === 'snapshot') await takeSnapshot(event);
          else if (event.type === 'commit') continuing = await takeCommit(event.entry);
          if (!continuing)
            throw new AppError('internal', 'a commit cannot be read, or does not follow what is held');
          if (state.state !== 'following') stand(standing('following', null));
        }
      } catch (error) {
        // An edge that serves goes on serving, whatever the store has become.
        if (isAppError(error, 'wrong_secret_key') && isEmpty()) return options.onFatal(error);
        if (stopped.signal.aborted) return;
        boundary.note('following', error);
        stand(standing('broken', error instanceof Error ? error.message : String(error)));
        await delay(retryAfterMs, undefined, { signal: stopped.signal }).catch(() => {});
      }
    }
  }

  function isEmpty(): boolean {
    try {
      return cache.position() === null;
    } catch {
      return false;
    }
  }

  function stand(now: FeedState): void {
    const well = now.state === 'following';
    if (now.state === 'broken' && !toldTrouble) {
      log.warn({ detail: now.detail }, 'the configuration cannot be followed');
    }
    if (well && toldTrouble) log.info('the configuration is followed again');
    if (now.state !== 'syncing') toldTrouble = !well;
    // How often it was tried again since does not matter.
    state = now.state === state.state ? { ...now, since: state.since } : now;
    behindSince = well && guard.held === null ? null : (behindSince ?? Date.now());
    options.onChange();
  }

  function onTrouble(error: Error | null): void {
    if (error !== null) stand({ ...standing('broken', error.message), records: scanning });
    else if (scanning !== null) stand({ ...standing('syncing', null), records: scanning });
    else stand(standing('following', null));
  }

  /** False for one that is not to be applied: what follows can only be a snapshot. */
  async function takeCommit(entry: LogEntry): Promise<boolean> {
    if (!isPosition(entry?.position) || !Array.isArray(entry.changes)) return false;
    if (guard.held !== null) {
      const { changes } = entry;
      // Other commits leave the next look where it is: each costs a whole snapshot.
      if (changes.some((change) => change?.kind === 'confirmation' && change.id === node)) guard.lookNow();
      return true;
    }
    if (!continues(position(), entry)) return false;
    if (entry.changes.length > 0) concerned = entry.position;
    for (const change of entry.changes) take(change, entry.position.number);
    fanOut.commit(entry);
    // The workers first: they swap while the disk is written.
    if (!unsavable) saving ??= setImmediate(boundary.guard('save', save));
    if (fanOut.unwritten.length % maxUnwritten === 0) await turn();
    return true;
  }

  /** What the supervisor itself goes by. */
  function take(change: LoggedChange, number: number): void {
    const isSettings = change?.kind === 'edge-settings' && change.id === edgeSettingsId;
    const isDrain = change?.kind === 'drain' && change.id === node;
    if ((!isSettings && !isDrain) || changeFault(change, number) !== null) return;
    if (isSettings) settings = change.op === 'put' ? change.value : null;
    else if (change.kind === 'drain') {
      drain = change.op === 'put' ? change.value : null;
      options.onChange();
    }
  }

  function position(): Position | null {
    return fanOut.unwritten.at(-1)?.position ?? cache.position();
  }

  /** A disk that is full must not keep the workers from later changes: what it does not take is kept, and offered again. */
  function save(): void {
    if (saving !== null) clearImmediate(saving);
    saving = null;
    clearTimeout(saveTimer);
    const entries = fanOut.unwritten;
    if (entries.length === 0) return;
    try {
      cache.apply(entries);
      fanOut.written(entries.length);
      if (unsavable) log.info('the configuration is saved again');
      unsavable = false;
    } catch (error) {
      if (!unsavable) log.error({ err: error }, 'changes are in force but cannot be saved on this disk');
      unsavable = true;
      if (!stopped.signal.aborted) {
        saveTimer = setTimeout(boundary.guard('save', save), options.saveAgainMs ?? saveAgainMs);
      }
    }
    options.onChange();
  }

  async function takeSnapshot({ position, records }: Snapshot): Promise<void> {
    await options.checkKey?.();
    save(); // what it would not take is part of what comes, or of a history that is gone
    let confirmation: ConfirmationRecord | null = null;
    async function* watched(): AsyncGenerator<StoredRecord[]> {
      for await (const batch of records) {
        for (const record of batch) {
          if (record?.kind !== 'confirmation' || record.id !== node) continue;
          if (recordFault(record) === null) confirmation = record.value;
        }
        scanning = (scanning ?? 0) + batch.length;
        state = { ...state, records: scanning };
        yield batch;
      }
    }
    scanning = 0;
    stand({ ...standing('syncing', null), records: 0 });
    let staged: StagedSnapshot;
    try {
      staged = await cache.stage({ type: 'snapshot', position, records: watched() });
    } finally {
      scanning = null;
    }
    if (!guard.allows(staged, confirmation)) {
      staged.discard();
      options.onChange();
      return;
    }
    staged.accept();
    concerned = position;
    settings = saved('edge-settings', edgeSettingsId);
    drain = saved('drain', node);
    fanOut.snapshot();
    options.onChange();
  }

  return {
    feed: { follow: (_from, { signal }) => fanOut.follow(signal) },
    position,
    get concerned() {
      return concerned;
    },
    get unsaved() {
      return unsavable ? fanOut.unwritten.length : 0;
    },
    get held() {
      return guard.held;
    },
    get settings() {
      return settings;
    },
    get drain() {
      return drain;
    },
    get state() {
      return state;
    },
    get behindSince() {
      return behindSince;
    },
    start() {
      running = run();
    },
    restart() {
      round.abort();
    },
    lost() {
      fanOut.lost();
      round.abort();
    },
    async close() {
      stopped.abort();
      guard.close();
      fanOut.close();
      await running;
      if (saving !== null) save();
      clearTimeout(saveTimer);
    },
  };
}

function standing(state: FeedState['state'], detail: string | null): FeedState {
  return { state, since: new Date().toISOString(), detail, records: null };
}
