import { z } from 'zod';

/** A point in the store's one history. The epoch is made with the store, and changes when a backup is restored. */
export const Revision = z.object({ epoch: z.string(), number: z.int().nonnegative() });
export type Revision = z.infer<typeof Revision>;

/**
 * Where a follower stands: a revision and the id of the commit that made it. After a Redis fail-over the same
 * number can mean another commit, so the number alone does not tell whether the log continues from here.
 */
export const Position = Revision.extend({ commitId: z.string() });
export type Position = z.infer<typeof Position>;

/** Whether a follower at `applied` has everything up to `needed`. Another epoch is another history: no. */
export function hasReached(applied: Revision | null, needed: Revision): boolean {
  return applied !== null && applied.epoch === needed.epoch && applied.number >= needed.number;
}
