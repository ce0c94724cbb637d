import type {
  CommitOrigin,
  Durability,
  EventBounds,
  EventDraft,
  FollowEvent,
  Hint,
  JournalBounds,
  JournalEntry,
  Kind,
  LogEntry,
  NodePresence,
  NodeReport,
  Position,
  RecordValues,
  Standing,
  StoredEvent,
  StoredRecord,
  Turn,
} from '@lockstep/contract';

/** Puts or deletes one record. */
export type Change =
  | {
      [K in Kind]: {
        op: 'put';
        kind: K;
        id: string;
        value: RecordValues[K];
        /**
         * Keys that at most one record of the store may hold (a route claims `host path` for each pair). The record gives up
         * the claims it had and does not name again.
         */
        claims?: string[];
        /** When `listDue` gives the record, in milliseconds since 1970; left out or null: never. */
        dueAt?: number | null;
        /** The queue in which it falls due, 0 (the default) to 9: each is read by itself. */
        lane?: number;
      };
    }[Kind]
  | { op: 'delete'; kind: Kind; id: string };

/** A record has to stand at this revision number for the commit to be made; null: it must not exist. */
export interface Check {
  kind: Kind;
  id: string;
  revision: number | null;
}

export interface Commit {
  /** Made by the caller, random. A commit repeated with the same id returns the first result and changes nothing. */
  id: string;
  checks?: Check[];
  changes: Change[];
  /** Kept with its entry of the log, as are the next two. Left out: the system. */
  by?: CommitOrigin['by'];
  requestId?: CommitOrigin['requestId'];
  cause?: CommitOrigin['cause'];
  /** What happened by it, or is told by it: they enter the history of events with it, in this order, or not at all. */
  events?: EventDraft[];
  /** The log keeps no entry before this one's: who follows from further back takes a snapshot. The history keeps all positions. */
  forgetsLog?: true;
  /** Refused with `lease_lost` unless this lease is still the latest grant of its name and has not run out. */
  lease?: Lease;
}

export interface Lease {
  name: string;
  /** The fencing token: every grant in the store, of whatever name, has a greater one. */
  token: number;
  /** By the store's clock. */
  expiresAt: number;
}

/** So many after a cursor; from the beginning without one. */
export interface PageRequest {
  limit: number;
  cursor?: string | undefined;
}

export interface Page<T> {
  items: T[];
  /** The cursor of the next page; null on the last. */
  next: string | null;
}

/** Some of the history of events, in its order. */
export interface EventPage {
  items: StoredEvent[];
  /** After what was asked after, some are gone: too old, too many, or of a history that went back. `items` go on beyond them. */
  gap: boolean;
  /** The id to ask after next; '' before the first event of all. */
  next: string;
  /** There may be more already. */
  more: boolean;
  /** The id of the latest of all; '' before the first. */
  last: string;
}

export interface OpenOptions {
  /**
   * An empty store is created (with a new random epoch) only with this, and never when `expectedEpoch` is given: a control plane
   * that has seen an epoch does not make a store anew by itself. Two processes that create at once get the same epoch.
   */
  create: boolean;
  /** `store_lost` is thrown when the store is empty, or holds a history that is none of this one's: see `earlierEpochs`. */
  expectedEpoch: string | null;
  /** The epochs that the expected one came from: a store that is in one of them was put back, and a new epoch begins. */
  earlierEpochs?: readonly string[];
  /** The latest commit known from before: where the history has gone back behind it, a new epoch begins. */
  known?: Position | null;
  /** The store was put back from a backup: begins a new epoch, whatever is known, and whatever history the store holds. */
  restored?: boolean;
}

/** Something that the store is made of is not what it has to be. */
export interface Damage {
  key: string;
  /** As in “the key … is a string, not a zset”. */
  detail: string;
  /** It was made anew; else nothing can be read or written, and a backup has to be restored. */
  mended: boolean;
}

export const maxCommitRecords = 500;
export const maxCommitBytes = 1_048_576;

/**
 * The one source of truth: a single ordered history of commits over records of some kinds.
 *
 * Guarantees, the same for every backend (test/conformance runs against all of them):
 * - A commit is atomic: all of its checks and claims hold and all of its changes are made, or none.
 * - Revision numbers of one epoch have no gaps; a commit's effect is visible to every read that begins after it returned.
 * - When `commit` throws `store_unavailable` it may or may not have been made. Repeat it with the same id to find out
 *   (ids are remembered for at least an hour).
 * - Announcements may be lost; `follow` notices and reads the log, so a follower misses and repeats nothing.
 * - A lease does not stop its former holder from running. Only the store's refusal of its commits does, so whatever must
 *   not happen twice has to go through a commit under the lease.
 * - Reads of several records are not one snapshot; use checks where that matters.
 *
 * All methods but `follow` throw `AppError('store_unavailable')` when the store cannot be reached; `commit` throws `store_lost`
 * when the store's history is none of that which this process opened (a wiped store, or another).
 *
 * A history that goes back (a backup put back, a fail-over to a replica that lacked commits) turns: it goes on in a new epoch, under
 * numbers above all that are known. Who follows gets a snapshot; `listTurns` tells what is gone. An opened store notices by itself
 * where it knows of later commits, or the store is in an epoch that its history has left, before it makes another commit or tells how
 * a position stands; it never commits on a history that it has not compared.
 */
export interface ConfigStore {
  /** The epoch this process opened, or that of the turns since; null before `open`. Edges follow and report without opening. */
  readonly epoch: string | null;
  /** The latest commit that this process knows of, for `open` after its next start; null before the first. */
  readonly known: Position | null;
  /** The epochs that this process's history went through, as far as it knows, the current one last; for `open` likewise. */
  readonly epochs: readonly string[];

  /** Makes the store ready for commits; gives its epoch. */
  open(options: OpenOptions): Promise<string>;

  /**
   * Throws `revision_conflict` (facts: kind, id), `host_taken` (facts: claim, kind, id of the holder), `lease_lost`,
   * `commit_too_large`. A commit under way is not sent again by a reconnect: see the guarantees.
   */
  commit(commit: Commit): Promise<Position>;

  get<K extends Kind>(kind: K, id: string): Promise<StoredRecord<K> | null>;
  /** In the order of `ids`; null for those that do not exist. */
  getMany<K extends Kind>(kind: K, ids: string[]): Promise<(StoredRecord<K> | null)[]>;
  /** By id, in byte order. `cursor` is the last page's `next`; records added or removed meanwhile do not disturb the others. */
  list<K extends Kind>(kind: K, page: PageRequest): Promise<Page<StoredRecord<K>>>;
  count(kind: Kind): Promise<number>;
  /** Records of the lane (0 when left out) whose `dueAt` is at or before `until`, the earliest first. */
  listDue<K extends Kind>(kind: K, until: number, limit: number, lane?: number): Promise<StoredRecord<K>[]>;
  /** How many records of the lane (0 when left out) have a `dueAt` at or before `until`. */
  countDue(kind: Kind, until: number, lane?: number): Promise<number>;
  /** The earliest `dueAt` of the kind in the lane (0 when left out), or null. */
  nextDue(kind: Kind, lane?: number): Promise<number | null>;
  /** Who holds the claims that begin with `prefix`, by claim in byte order; with `after`, only the claims beyond that one. */
  findClaims(
    prefix: string,
    limit: number,
    after?: string,
  ): Promise<{ claim: string; kind: Kind; id: string }[]>;

  /** The latest commit; number 0 and an empty commit id before the first. */
  head(): Promise<Position>;
  /**
   * How each position stands to the history of `epoch`, at this moment; on a store with another history none is on it. At least the
   * last 10,000 commits are remembered.
   */
  standingOf(positions: readonly Position[]): Promise<Standing[]>;
  /** The times that the history went back, the latest 100, in their order. */
  listTurns(): Promise<Turn[]>;
  /**
   * Who changed what, the latest first: one entry for each change that its kind's module wants kept, written with the commit itself, and
   * without what is secret: a put that changes nothing else has none. What is older or more than the bounds (90 days, 10,000) is not given, and goes with the next entry.
   */
  readJournal(page: { limit: number; cursor?: string | undefined }): Promise<Page<JournalEntry>>;
  /** From now on. */
  boundJournal(bounds: JournalBounds): void;
  /**
   * What happened, in order: events of commits and as commits told them. After the event of this id ('': from the first of all on); left
   * out: from the oldest that is kept; with a limit of 0 only where the history ends. Ids order as text. What is older or more than the bounds (7 days, 100,000) is not given, and goes with the next event.
   */
  readEvents(page: { after?: string | null; limit: number }): Promise<EventPage>;
  /** From now on. */
  boundEvents(bounds: EventBounds): void;
  /** Entries after `after` in order, at most `limit`; null when the log no longer reaches back that far. */
  readLog(after: Position, limit: number): Promise<LogEntry[] | null>;
  /**
   * Everything after `from` (null: from a snapshot on), then each commit as it comes, until `signal` aborts. Only `kinds`
   * are delivered; a commit that touched none of them comes with no changes. Never throws for an unreachable store: it keeps
   * trying, reports through `onTrouble` (null when well again), and resumes. A store without an epoch (wiped, or not created
   * yet) is trouble too, `store_lost`: it is never delivered as an empty snapshot. Where the log does not continue from `from`
   * (compacted, another epoch, another commit under the same number), a snapshot is delivered. Its `records` reject when the
   * history changed under the scan, or `signal` aborted: discard what came; while following goes on, another snapshot comes.
   */
  follow(from: Position | null, options: FollowOptions): AsyncIterable<FollowEvent>;

  /** Grants the lease unless another holder's still runs; null then. Never waits. */
  acquireLease(name: string, ttlMs: number): Promise<Lease | null>;
  /** The lease with its new end; throws `lease_lost` when it has run out or gone to another. */
  renewLease(lease: Lease, ttlMs: number): Promise<Lease>;
  /** Frees the lease at once, if it is still this one. */
  releaseLease(lease: Lease): Promise<void>;

  /**
   * A node's heartbeat and acknowledgement; no commit. Throws `node_id_taken` while another instance under the same
   * node id is live, unless that one ran on the same `home`: the lock on a home proves it dead. Where it reports again all the same, the
   * home was copied, and the one that came later is refused.
   */
  reportNode(report: NodeReport): Promise<void>;
  /**
   * A graceful stop, if the presence is still this instance's: one that `returns` stays expected (`stopped`), another is
   * forgotten.
   */
  removeNode(node: string, instance: string, stop: { returns: boolean }): Promise<void>;
  /** Forgets a node, whoever reported it: it is expected no more, unless it reports again. False when there was none. */
  forgetNode(node: string): Promise<boolean>;
  /**
   * Every node that reported and was not forgotten since, by id. The store's clock dates reports and judges `live`. Reports are
   * claims: what one says of its position is compared with the history.
   */
  listNodes(): Promise<NodePresence[]>;
  /** Calls `listener` for reports and removals as they come (null: one was removed). A hint: some may be lost. */
  watchNodes(listener: (presence: NodePresence | null) => void): () => void;

  /** Tells every process that watches now, this one too. No commit, and kept nowhere: it may be lost. */
  sendHint(hint: Hint): Promise<void>;
  /** Asks are heard by opened stores alone: those are asked. */
  watchHints(listener: (hint: Hint) => void): () => void;

  /**
   * From now on a commit returns when so many replicas have it too, and throws `store_unavailable` when they have not within
   * `timeoutMs`: it is made, and may be lost with the primary. Means nothing to a store without replicas.
   */
  requireReplicas(durability: Durability): void;

  /**
   * Looks at what the store is made of, makes anew what can be from its records (where whose claims lie, what falls due), or from what
   * comes (nodes, the log), and tells what was damaged since the last look.
   */
  check(): Promise<Damage[]>;

  /** Milliseconds since 1970 by the store's clock, which judges leases and presence. */
  now(): Promise<number>;
  close(): Promise<void>;
}

export interface FollowOptions {
  kinds: readonly Kind[];
  signal: AbortSignal;
  onTrouble?: (error: Error | null) => void;
}
