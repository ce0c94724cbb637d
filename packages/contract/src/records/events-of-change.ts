import { isFields } from '../shared/fields.ts';
import type { EventDraft } from './event.ts';
import { type Kind, kindsByName } from './kinds.ts';

/** Whether callers are told anything of such changes. */
export function tellsOf(kind: Kind): boolean {
  return kindsByName.get(kind)?.events !== undefined;
}

/** What callers are told of a change. What was there and cannot be read is `{}`. */
export function eventsOfChange(
  kind: Kind,
  id: string,
  before: object | null,
  after: object | null,
): EventDraft[] {
  const readable = before === null || isFields(before) ? before : {};
  return kindsByName.get(kind)?.events?.(readable, after, id) ?? [];
}
