import type { Fields } from '../shared/fields.ts';
import type { EventDraft } from './event.ts';

/** `edge`: edges follow it too. `control`: it is for control planes alone. */
export type Audience = 'edge' | 'control';

/** Fields that hold text, or nothing. */
type TextField<V extends object> = {
  [F in keyof V & string]-?: V[F] extends string | null | undefined ? F : never;
}[keyof V & string];

type SomeTextFields<V extends object> = { [F in TextField<V>]?: true };

/** A canary's `sealed` is none: it says which key is the current one. */
export type SealedField<V extends object> = Exclude<Extract<keyof V, `sealed${string}`>, 'sealed'>;

/** What is sealed is secret; what else is has to be said. */
type SecretFields<V extends object> = Record<SealedField<V>, Audience> &
  SomeTextFields<Omit<V, SealedField<V>>>;

/** All there is to know of a kind of record. Nothing of it loads zod: edges read records, and are to start light. */
export interface KindModule<K extends string, A extends Audience, V extends object> {
  /** Its name in keys, messages and log lines: lower case, without a slash. */
  kind: K;
  audience: A;
  /** Of its values. Goes up by one with each change that an earlier version's reader would misread; begins at 1. */
  version: number;
  /**
   * The fields that nobody is shown: they are nowhere but in the record itself and in what carries it to those who read it. Of one that is
   * sealed, with the record's key as its context, whose key opens it: all such have names that begin with `sealed`, and no kind can leave
   * one out, as the keys could then not be rotated.
   */
  secret: SecretFields<V>;
  /** Whether the journal keeps a change; `after` null: a deletion. */
  journal(after: V | null): boolean;
  /** Fields that the journal leaves out because they are long; others say what they are. */
  tooLongForJournal?: SomeTextFields<V>;
  /** What callers are told of a change, whoever makes it: goes into its commit. `before` null: there was none; `after` null: a deletion. */
  events?(before: V | null, after: V | null, id: string): EventDraft[];
  /** Makes a value of version `from` one of today's. May throw for a value that is none: the record is then not readable. */
  upgrade?(value: Fields, from: number): V;
  /**
   * Why whoever serves by the record cannot, in words that follow its name; null when it can. It looks at what is used of the value,
   * and takes a microsecond: an edge asks it of each record before it puts it to use.
   */
  fault?(value: Fields, id: string): string | null;
}

/** Ties the type of a kind's values to what is said of the kind. */
export function recordKind<V extends object>() {
  return <const K extends string, const A extends Audience>(kind: KindModule<K, A, V>) => kind;
}
