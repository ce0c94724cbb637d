import { type Fields, isFields } from '../shared/fields.ts';
import type { Position } from '../shared/revision.ts';
import type { CommitOrigin } from './commit-origin.ts';
import { type Kind, kindsByName } from './kinds.ts';
import { broughtUpToDate } from './record-version.ts';

/** One change of one record as the journal keeps it: who made it, when, and what the record was before and after, without what is secret. */
export interface JournalEntry extends CommitOrigin {
  /** By the store's clock, in milliseconds since 1970. */
  at: number;
  /** The commit. The journal outlives epochs: numbers are compared within one alone. */
  position: Position;
  kind: Kind;
  id: string;
  /** Null where there was no record, and where what was there could not be read. */
  before: Fields | null;
  /** Null for a deletion. */
  after: Fields | null;
}

/** How long the journal keeps an entry, and how many. */
export interface JournalBounds {
  ageMs: number;
  entries: number;
}

export const defaultJournalBounds: JournalBounds = { ageMs: 90 * 86_400_000, entries: 10_000 };

const fieldsLeftOut: ReadonlyMap<string, readonly string[]> = new Map(
  [...kindsByName].map(([name, { secret, tooLongForJournal = {} }]) => [
    name,
    Object.keys({ ...secret, ...tooLongForJournal }),
  ]),
);

/** The fields of a kind's values that the journal is without. */
export function leftOutOfJournal(kind: Kind): readonly string[] {
  return fieldsLeftOut.get(kind) ?? [];
}

/** Whether the journal keeps a change; `after` null: a deletion. */
export function isForJournal(kind: Kind, after: object | null): boolean {
  return kindsByName.get(kind)?.journal(after) ?? false;
}

/** The value of a record, in JSON, as the journal keeps it; null for anything else. */
export function toJournal(kind: Kind, json: string): string | null {
  const leftOut = leftOutOfJournal(kind);
  if (leftOut.length === 0) return json;
  const value = parseFields(json);
  return value === null ? null : JSON.stringify(without(value, leftOut));
}

/** Reads what the journal keeps, of whichever version it was; null for anything else. */
export function fromJournal(kind: Kind, json: string): Fields | null {
  const value = broughtUpToDate(kind, parseFields(json));
  return isFields(value) ? without(value, leftOutOfJournal(kind)) : null;
}

function without(value: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));
}

function parseFields(json: string): Fields | null {
  try {
    const value: unknown = JSON.parse(json);
    return isFields(value) ? value : null;
  } catch {
    return null;
  }
}
