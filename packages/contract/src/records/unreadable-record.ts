import { AppError, isAppError } from '../shared/app-error.ts';
import type { Kind } from './kinds.ts';

/** What a store throws for a record that is there and cannot be read; `revision` null where not even that can be. */
export function unreadableRecord(kind: Kind, id: string, revision: number | null): AppError {
  const detail = `the record ${kind}/${id} of the store cannot be read`;
  return new AppError('internal', detail, { facts: { kind, id, revision } });
}

/** The revision to expect where a record that cannot be read is put anew or deleted; undefined for any other error. */
export function revisionOfUnreadable(error: unknown): number | null | undefined {
  if (!isAppError(error, 'internal')) return undefined;
  const { revision } = error.facts;
  return typeof revision === 'string' ? undefined : revision;
}
