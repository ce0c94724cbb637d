import { fromJournal, type JournalEntry, type Kind, kinds, type Position } from '@lockstep/contract';
import { parseOrigin } from './prepared-commit.ts';

/** An entry of the journal as backends keep it; '' where there is no value. */
export interface KeptJournalEntry {
  at: number;
  position: Position;
  origin: string;
  kind: Kind;
  id: string;
  before: string;
  after: string;
}

/** Null for what is none. */
export function toJournalEntry({ origin, ...kept }: KeptJournalEntry): JournalEntry | null {
  const { kind, id, position } = kept;
  const by = parseOrigin(origin);
  if (by === null || !kinds.includes(kind) || id === '' || !Number.isSafeInteger(position.number))
    return null;
  return {
    ...kept,
    ...by,
    before: fromJournal(kind, kept.before),
    after: fromJournal(kind, kept.after),
  };
}
