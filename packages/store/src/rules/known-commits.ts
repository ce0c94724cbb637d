import type { Position } from '@lockstep/contract';

const keptIds = 10_000;

/**
 * The commits of one epoch that this process has seen: the latest, and enough of those before it to tell from where on a
 * history that went back is another.
 */
export function createKnownCommits() {
  let latest: Position | null = null;
  const ids = new Map<number, string>();

  return {
    get latest(): Position | null {
      return latest;
    },
    see(position: Position): void {
      if (latest !== null && latest.epoch !== position.epoch) ids.clear();
      else if (latest !== null && latest.number > position.number) return;
      latest = position;
      ids.delete(position.number);
      ids.set(position.number, position.commitId);
      if (ids.size > keptIds) ids.delete(ids.keys().next().value!);
    },
    /** From the latest back. */
    all(): { number: number; commitId: string }[] {
      return [...ids].map(([number, commitId]) => ({ number, commitId })).reverse();
    },
    forget(): void {
      latest = null;
      ids.clear();
    },
  };
}
