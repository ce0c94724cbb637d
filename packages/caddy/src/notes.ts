import { type Fields, isFields } from './read-json.ts';

/**
 * `left_out`: what stands there is not carried at all. `without`: it is carried without this. `told`: it is carried, and there is something to
 * know about it.
 */
export type NoteLevel = 'left_out' | 'without' | 'told';

/** One thing that is not as it was. */
export interface Note {
  /** Where it stands in Caddy's JSON, as `apps.http.servers.srv0.routes.3.match.0.path`. */
  at: string;
  level: NoteLevel;
  detail: string;
  /** Whose requests it is about, where the configuration says so on the way there. */
  hosts?: string[];
}

/** Why something cannot be carried, and where it stands. */
export interface Fault {
  fault: string;
  at: string;
}

export interface Notes {
  readonly all: readonly Note[];
  leftOut(at: string, detail: string): void;
  without(at: string, detail: string): void;
  told(at: string, detail: string): void;
  /** A line for each field of `value` that is not among those that are read here. */
  unread(value: unknown, at: string, read: readonly string[], known?: readonly string[]): void;
}

export function createNotes(): Notes {
  const all: Note[] = [];
  const add = (level: NoteLevel) => (at: string, detail: string) => {
    if (!all.some((note) => note.at === at && note.detail === detail)) all.push({ at, level, detail });
  };
  const without = add('without');
  return {
    all,
    leftOut: add('left_out'),
    without,
    told: add('told'),
    unread(value, at, read, known = []) {
      if (!isFields(value)) return;
      for (const name of Object.keys(value as Fields)) {
        if (
          name === '@id' ||
          read.includes(name) ||
          known.includes(name) ||
          isNothing((value as Fields)[name])
        )
          continue;
        without(`${at}.${name}`, 'cannot be carried');
      }
    },
  };
}

/** What says no more than a field that is not there. */
function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value === false || value === '' || value === 0;
}
