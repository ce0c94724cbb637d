import { isCount, isFields, isText } from '../shared/fields.ts';
import { kindsByName } from './kinds.ts';
import { versionFault } from './record-version.ts';

/**
 * Why an edge cannot read a record, in words that follow its name; null when it can. An edge asks this of each record before it
 * puts it to use.
 */
export function recordFault(record: unknown): string | null {
  if (!isFields(record)) return 'is no record';
  const { kind, id, revision, value } = record;
  if (!isText(kind) || !isText(id)) return 'has no name';
  if (!isCount(revision)) return 'has no revision';
  if (!isFields(value)) return 'is empty';
  return versionFault(kind, value) ?? kindsByName.get(kind)?.fault?.(value, id) ?? null;
}

/** Why a change of a log entry cannot be read; null when it can. */
export function changeFault(change: unknown, revision: number): string | null {
  if (!isFields(change)) return 'is no change';
  if (change.op === 'delete') return isText(change.kind) && isText(change.id) ? null : 'has no name';
  if (change.op !== 'put') return 'is neither put nor deleted';
  return recordFault({ kind: change.kind, id: change.id, revision, value: change.value });
}
