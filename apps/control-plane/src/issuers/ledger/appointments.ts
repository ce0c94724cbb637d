/** Beyond this many tokens ahead, or this long, turns begin again at the next token. */
const mostTurns = 100;
const longestMs = 86_400_000;

/**
 * When those who found a shared bucket empty shall come again: one after another as tokens will be there, instead of all of them
 * for the next token, of whom all but one would have come for nothing. A turn is an appointment and no token; whoever is beaten to
 * it gets another. Kept in memory: each control plane spreads its own.
 */
export function createAppointments() {
  const given = new Map<string, number>();
  return {
    /** A turn at `next`, when the next token is there, or later. All in milliseconds. */
    give(bucket: string, next: number, refillMs: number, now: number): number {
      for (const [id, until] of given) {
        if (until > now) break; // roughly in the order in which they were given; a few more do no harm
        given.delete(id);
      }
      let until = Math.max(next, (given.get(bucket) ?? 0) + refillMs);
      if (until - next > Math.min(mostTurns * refillMs, longestMs)) until = next;
      given.delete(bucket);
      given.set(bucket, until);
      return until;
    },
  };
}
