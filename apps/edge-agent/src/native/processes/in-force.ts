import type { Position, Refusal } from '@lockstep/contract';
import type { WorkerProcess } from './worker-process.ts';

/** The position of the listening worker that is furthest behind; null without any, and while one has none or is hung. */
export function appliedByAll(workers: readonly WorkerProcess[]): Position | null {
  let lowest: Position | null = null;
  for (const { listening, hung, position } of workers) {
    if (!listening) continue;
    // It takes connections, and has nothing to answer them with: a challenge must not count as placed yet.
    if (position === null || hung) return null;
    // Between two epochs there is no order: while workers change over, the edge as a whole has applied neither.
    if (lowest !== null && lowest.epoch !== position.epoch) return null;
    // Nor between two histories of one epoch, which a store that went back has.
    if (lowest?.number === position.number && lowest.commitId !== position.commitId) return null;
    if (lowest === null || position.number < lowest.number) lowest = position;
  }
  return lowest;
}

export function refusedByAny(workers: readonly WorkerProcess[]): Refusal[] {
  const merged = new Map<string, Refusal>();
  for (const { refusals } of workers) {
    for (const refusal of refusals) merged.set(`${refusal.kind}/${refusal.id}`, refusal);
  }
  return [...merged.values()];
}

/** Between two histories there is no order: what stands in another one is not known to be behind. */
export function isBehind(position: Position | null, other: Position | null): boolean {
  if (other === null) return false;
  return position === null || (position.epoch === other.epoch && position.number < other.number);
}
