import type { Position, Standing } from '@lockstep/contract';

/** How many commits a store remembers by number and id, whatever its log still holds. */
export const rememberedCommits = 100_000;

/** `idAt` gives the id of the commit under a number, null for one that is no longer remembered. */
export function standingAgainst(
  head: Position,
  position: Position,
  idAt: (number: number) => string | null,
): Standing {
  if (position.epoch !== head.epoch) return 'apart';
  if (position.number > head.number) return 'ahead';
  const id = position.number === head.number ? head.commitId : idAt(position.number);
  if (id === null) return 'unknown';
  return id === position.commitId ? 'on' : 'apart';
}

/** Whether the position was taken from a history that has gone back since. */
export function isLeftBehind(standing: Standing): boolean {
  return standing === 'ahead' || standing === 'apart';
}
