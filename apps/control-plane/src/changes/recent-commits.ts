import { type Kind, type LogEntry, type Position, recordKey } from '@lockstep/contract';

/** As many commits as the log keeps: whoever stands before them needs a snapshot anyway. */
const keptCommits = 10_000;
const namedKinds: readonly Kind[] = ['route', 'certificate'];

/** The latest commits, as this control plane heard of them: when, and of which routes and certificates. */
export interface RecentCommits {
  /** The last one; null before the first. */
  readonly head: Position | null;
  /**
   * When the first commit after `number` was heard of, or the first that is remembered, in milliseconds since 1970; null when there is
   * none, and for another epoch than the head's: numbers of two histories are not compared.
   */
  since(applied: { epoch: string | null; number: number }): number | null;
  /**
   * Keys of the routes and certificates that commits of the epoch of `to` changed, up to it, as far as is remembered; at most `limit`.
   * After `from`, where that is of the same epoch; else all of the epoch's.
   */
  changed(from: Position, to: Position, limit: number): string[];
  /** Goes on with the commit after the head. */
  append(entry: LogEntry): void;
  /** Goes on from a position that need not continue from the head. */
  begin(position: Position): void;
}

export function createRecentCommits({ now }: { now: () => number }): RecentCommits {
  const commits = new Map<number, { at: number; epoch: string; named: string[] }>();
  let head: Position | null = null;

  function add(position: Position, named: string[]): void {
    head = position;
    // Numbers of a history that went back are taken again, and have to come last.
    commits.delete(position.number);
    commits.set(position.number, { at: now(), epoch: position.epoch, named });
    for (const oldest of commits.keys()) {
      if (commits.size <= keptCommits) break;
      commits.delete(oldest);
    }
  }

  return {
    get head() {
      return head;
    },
    since({ epoch, number }) {
      if (head === null || epoch !== head.epoch || number >= head.number) return null;
      return (commits.get(number + 1) ?? commits.values().next().value)?.at ?? null;
    },
    changed(from, to, limit) {
      const keys = new Set<string>();
      for (const [number, { epoch, named }] of commits) {
        if (epoch !== to.epoch || number > to.number) continue;
        if (from.epoch === epoch && number <= from.number) continue;
        for (const key of named) if (keys.size < limit) keys.add(key);
      }
      return [...keys];
    },
    append({ position, changes }) {
      const named = changes.filter(({ kind }) => namedKinds.includes(kind));
      add(
        position,
        named.map(({ kind, id }) => recordKey(kind, id)),
      );
    },
    begin: (position) => add(position, []),
  };
}
