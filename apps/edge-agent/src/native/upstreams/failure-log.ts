import type { Logger } from 'pino';
import { type FailureCause, failureCauses } from './failure-cause.ts';

/** The same cause at the same upstream is logged once in this time, with how often it was since. */
const quietMs = 60_000;
const mostKinds = 1_000;

/** Counts failed exchanges by cause, and logs one of a kind at a time. */
export interface FailureLog {
  note(cause: FailureCause, upstream: string | null, error?: unknown): void;
  /** Grows over the life of the process. */
  readonly counts: Partial<Record<FailureCause, number>>;
}

export function createFailureLog(log: Logger, now: () => number = Date.now): FailureLog {
  const counts: Partial<Record<FailureCause, number>> = {};
  const kinds = new Map<string, { loggedAt: number; unlogged: number }>();

  return {
    note(cause, upstream, error) {
      counts[cause] = (counts[cause] ?? 0) + 1;
      const key = `${cause} ${upstream}`;
      const kind = kinds.get(key);
      const at = now();
      if (kind !== undefined && at - kind.loggedAt < quietMs) {
        kind.unlogged += 1;
        return;
      }
      // Upstreams come and go; what has been quiet for longest makes room.
      kinds.delete(key);
      if (kinds.size >= mostKinds) kinds.delete(kinds.keys().next().value!);
      kinds.set(key, { loggedAt: at, unlogged: 0 });
      const fields = { cause, upstream, unlogged: kind?.unlogged ?? 0 };
      if (cause === 'edge_failed') log.error({ ...fields, err: error }, failureCauses[cause]);
      else log.warn({ ...fields, detail: detailOf(error) }, failureCauses[cause]);
    },
    counts,
  };
}

function detailOf(error: unknown): string | undefined {
  return error instanceof Error ? error.message.slice(0, 500) : undefined;
}
