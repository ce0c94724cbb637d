export type Fields = Record<string, unknown>;

// What a process reads of others, a hundred thousand records at an edge's start, is asked these: no schema is loaded or run for it.

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True for a text that is not empty. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** True for a list that is not empty. */
export function isList(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length > 0;
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
