import { type Fields, isCount, isFields } from '../shared/fields.ts';
import { kindsByName } from './kinds.ts';

// A value that is kept says by `version` which version of its kind it is; without one it is of the first. In memory a value is of
// today's version and says none: what still says one could not be brought up to date.

/** The value as it is kept. */
export function withVersion(kind: string, value: unknown): unknown {
  const version = kindsByName.get(kind)?.version ?? 1;
  return version === 1 || !isFields(value) || 'version' in value ? value : { version, ...value };
}

/** What was kept, brought up to date; as it is where that cannot be. Whoever reads what is kept asks this first. */
export function broughtUpToDate(kind: string, kept: unknown): unknown {
  const known = kindsByName.get(kind);
  if (known === undefined || !isFields(kept)) return kept;
  if (kept.version === undefined && known.version === 1) return kept;
  const { version: from = 1, ...value } = kept;
  if (from === known.version) return value;
  if (!isCount(from) || from === 0 || from > known.version || known.upgrade === undefined) return kept;
  try {
    return known.upgrade(value, from);
  } catch {
    return kept;
  }
}

/** Why a value is not of today's version; null when it is. */
export function versionFault(kind: string, value: Fields): string | null {
  if (value.version === undefined) return null;
  return `is of version ${value.version}, where version ${kindsByName.get(kind)?.version} is read`;
}

/** Whether a record of the store is of any use to those who read it there; `recordFault` says more of it. */
export function isReadable({ kind, value }: { kind: string; value: unknown }): boolean {
  return typeof value === 'object' && value !== null && versionFault(kind, value as Fields) === null;
}
