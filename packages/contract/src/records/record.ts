import type { Position } from '../shared/revision.ts';
import type { CommitOrigin } from './commit-origin.ts';
import type { Kind, RecordValues } from './kinds.ts';

/** A record as it stands; `revision` is the number of the commit that wrote it. */
export type StoredRecord<K extends Kind = Kind> = {
  [P in K]: { kind: P; id: string; revision: number; value: RecordValues[P] };
}[K];

/** What a commit did to one record. */
export type LoggedChange<K extends Kind = Kind> =
  | { [P in K]: { op: 'put'; kind: P; id: string; value: RecordValues[P] } }[K]
  | { op: 'delete'; kind: K; id: string };

/** An entry of the change log. Whose it is, control planes alone are told: what edges get of it has no origin. */
export interface LogEntry extends Partial<CommitOrigin> {
  position: Position;
  /** The commit id of the entry before this one; null for the first. */
  previousCommitId: string | null;
  changes: LoggedChange[];
}

/**
 * What a follower sees, in order. A snapshot replaces everything held before, and has to be read to its end; its records may be newer than `position`
 * (the scan runs beside commits), so whoever applies a commit after it skips each change to a record that is held at the
 * commit's number or a later one. `current`: everything known so far has been delivered.
 */
export type FollowEvent =
  | { type: 'snapshot'; position: Position; records: AsyncIterable<StoredRecord[]> }
  | { type: 'commit'; entry: LogEntry }
  | { type: 'current'; position: Position };

/** So many records of a snapshot come at once, at most. */
export const snapshotBatchRecords = 1_000;

export function recordKey(kind: Kind, id: string): string {
  return `${kind}/${id}`;
}
