import { isCount, isFields, isText } from './fields.ts';

/** A point in the store's one history. The epoch is made with the store, and changes when a backup is restored. */
export interface Revision {
  epoch: string;
  number: number;
}

/**
 * Where a follower stands: a revision and the id of the commit that made it. After a Redis fail-over the same
 * number can mean another commit, so the number alone does not tell whether the log continues from here.
 */
export interface Position extends Revision {
  commitId: string;
}

/**
 * How a position stands to the store's history. `on`: its commit is part of it. `ahead`: behind the latest commit none has its
 * number. `apart`: another epoch, or another commit under its number. `unknown`: older than what the store remembers, so that
 * whoever stands there needs a snapshot anyway. Both `ahead` and `apart` say that the history went back, or is another one.
 */
export type Standing = 'on' | 'ahead' | 'apart' | 'unknown';

/** The history went back, by a restore or a fail-over, and goes on in another epoch. */
export interface Turn {
  /** Milliseconds since 1970 by the store's clock. */
  at: number;
  /** `restored`: an operator said so; `went_back`: a process knew of commits that are gone. */
  reason: 'restored' | 'went_back';
  /** The epoch that began. */
  epoch: string;
  /** The latest commit that still stands, in the epoch before. */
  kept: Position;
  /**
   * The latest commit known of that is gone; null when nobody knew of any. In another epoch than `kept` where the history had
   * turned since: then their numbers are not to be compared.
   */
  lost: Position | null;
}

/** Whether an entry of the log is the next one for a follower that stands at `at`. Every follower asks this before it applies one. */
export function continues(
  at: Position | null,
  entry: { position: Position; previousCommitId: string | null },
): boolean {
  return (
    at !== null &&
    entry.position.epoch === at.epoch &&
    entry.position.number === at.number + 1 &&
    (entry.previousCommitId ?? '') === at.commitId
  );
}

export function samePosition(one: Position, other: Position): boolean {
  return one.epoch === other.epoch && one.number === other.number && one.commitId === other.commitId;
}

export function isPosition(value: unknown): value is Position {
  return (
    isFields(value) && isText(value.epoch) && isCount(value.number) && typeof value.commitId === 'string'
  );
}
