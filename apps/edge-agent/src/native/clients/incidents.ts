import type { Boundary } from '@lockstep/contract';
import type { Logger } from 'pino';
import type { RefusalReason } from '../../server/request-refusal.ts';

/** Why a connection or an exchange was ended before its time. A closed list: the label of a metric and of a log line. */
export const cutReasons = [
  'idle',
  'no_preface',
  'parse_error',
  'resets',
  'stalled_body',
  'stalled_reader',
  'proxy_header',
  'too_many_connections',
  'too_many_of_client',
  'client_rests',
  'no_descriptors',
] as const;
export type CutReason = (typeof cutReasons)[number];

/** The same is logged once in this time, with how often it was since. */
const quietMs = 60_000;

/** What clients did that the edge did not go along with: counted by reason, and one of a kind at a time logged. */
export interface Incidents {
  onRefused(reason: RefusalReason, detail?: string): void;
  onCut(reason: CutReason): void;
  /** Something that was not expected was thrown; the process goes on. */
  readonly onException: Boundary['note'];
  /** Grow over the life of the process. */
  readonly refused: Partial<Record<RefusalReason, number>>;
  readonly cut: Partial<Record<CutReason, number>>;
}

export function createIncidents(log: Logger, boundary: Boundary, now: () => number = Date.now): Incidents {
  const refused: Incidents['refused'] = {};
  const cut: Incidents['cut'] = {};
  const kinds = new Map<string, { loggedAt: number; unlogged: number }>();

  /** How many of the kind were passed over since the last line; null: so is this one. */
  function unlogged(kind: string): number | null {
    const seen = kinds.get(kind);
    const at = now();
    if (seen !== undefined && at - seen.loggedAt < quietMs) {
      seen.unlogged += 1;
      return null;
    }
    kinds.set(kind, { loggedAt: at, unlogged: 0 });
    return seen?.unlogged ?? 0;
  }

  return {
    onRefused(reason, detail) {
      refused[reason] = (refused[reason] ?? 0) + 1;
      const before = unlogged(`refused ${reason}`);
      if (before !== null) log.info({ reason, detail, unlogged: before }, 'a request was refused');
    },
    onCut(reason) {
      cut[reason] = (cut[reason] ?? 0) + 1;
      const before = unlogged(`cut ${reason}`);
      if (before !== null) log.warn({ reason, unlogged: before }, 'a client’s connection was cut');
    },
    onException: boundary.note,
    refused,
    cut,
  };
}
