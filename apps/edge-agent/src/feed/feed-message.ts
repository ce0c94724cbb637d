import type { ErrorCode, Hint, LogEntry, NodeReport, Position, StoredRecord } from '@lockstep/contract';

/**
 * The messages of the feed between a parent and a child process (Node IPC, `serialization: 'advanced'`): from `lockstep up`
 * to its edges, and from an edge's supervisor to its workers. The child sets the pace: of `records` and `commit` messages at most
 * `feedWindowMessages` and about `feedWindowBytes` are unanswered at a time, and `next` answers as many as it counts.
 */
export type FeedToChild =
  /** Answers each `follow`, before anything that belongs to it: what came until then belongs to an earlier one. */
  | { feed: 'following' }
  | { feed: 'snapshot'; position: Position }
  | { feed: 'records'; records: StoredRecord[] }
  | { feed: 'snapshotEnd' }
  | { feed: 'commit'; entry: LogEntry }
  | { feed: 'current'; position: Position }
  /** The parent cannot follow what it hands on, and why; null: it can again. */
  | { feed: 'trouble'; detail: string | null }
  /** The answer to `report` or `leave` number `id`: null, or why it was refused. */
  | { feed: 'reported'; id: number; error: { code: ErrorCode; detail: string } | null }
  | { feed: 'hint'; hint: Hint };

export type FeedToParent =
  | { feed: 'follow'; from: Position | null }
  | { feed: 'next'; count: number }
  | { feed: 'report'; id: number; report: NodeReport }
  | { feed: 'leave'; id: number; node: string; instance: string; returns: boolean }
  | { feed: 'hint'; hint: Hint }
  /** From now on the child wants to hear hints, or no longer. */
  | { feed: 'watchHints'; watch: boolean };

export const feedWindowMessages = 64;
export const feedWindowBytes = 1_048_576;
/** A batch of a snapshot ends here or at `snapshotBatchRecords`, whichever comes first; a single record may be larger. */
export const snapshotBatchBytes = 262_144;
