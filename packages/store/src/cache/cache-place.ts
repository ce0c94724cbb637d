import { edgeKinds, isPosition, type Kind, type Position } from '@lockstep/contract';
import { damage } from '../sqlite/open-database.ts';
import type { Sql } from '../sqlite/statements.ts';

/** Where the rows stand in the history, kept in a row of its own. */
export interface Place {
  position: Position;
  kinds: readonly Kind[];
  /** The newest revision that the snapshot brought: its scan ran beside commits. */
  through: number;
  /** How many rows there are of each kind: a damaged index would hide some without a word. */
  counts: Partial<Record<Kind, number>>;
}

/** Whether commits after the position bring all that the rows lack. */
export function isWhole(place: Place | null): boolean {
  return place !== null && place.position.number >= place.through && hasEveryKind(place);
}

const hasEveryKind = ({ kinds }: Place) => edgeKinds.every((kind) => kinds.includes(kind));

export function readPlace(sql: Sql): Place | null {
  const row = sql("SELECT value FROM meta WHERE key = 'position'").get();
  if (row === undefined) return null;
  const place = parsePlace(String(row.value));
  // A row that cannot be read is no reason not to serve the others.
  if (place === null) {
    return {
      position: { epoch: 'damaged', number: 0, commitId: 'damaged' },
      kinds: [],
      through: 0,
      counts: {},
    };
  }
  // Whoever filled it passed over a kind: its position, taken for all of the kinds, would acknowledge records that are not here.
  return hasEveryKind(place)
    ? place
    : { ...place, position: { ...place.position, commitId: 'lacks-a-kind' } };
}

export function parsePlace(text: string): Place | null {
  try {
    const place = JSON.parse(text) as Place;
    return isPosition(place.position) &&
      Array.isArray(place.kinds) &&
      Number.isSafeInteger(place.through) &&
      typeof place.counts === 'object'
      ? place
      : null;
  } catch {
    return null;
  }
}

export function writePlace(sql: Sql, place: Place): void {
  sql("INSERT OR REPLACE INTO meta (key, value) VALUES ('position', ?)").run(JSON.stringify(place));
}

/** Throws, as SQLite does for damage, when rows are missing without a word. */
export function mustBeAll(place: Place | null, kind: Kind, seen: number): void {
  const expected = place?.counts[kind];
  if (expected !== undefined && seen < expected) {
    throw damage(`${expected - seen} rows of ${expected} are missing`);
  }
}
