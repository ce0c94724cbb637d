/** A JSON object, of which nothing is known. */
export type Fields = Record<string, unknown>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a table of ours has under a name that is somebody else's: `constructor` is in none of them. */
export function ownOf<T>(table: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The object that stands there; an empty one where none does. */
export function fieldsAt(value: unknown): Fields {
  return isFields(value) ? value : {};
}

export function listAt(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The texts of a list; null where it is none, or has something else in it. */
export function textsAt(value: unknown): string[] | null {
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : null;
}

export function textAt(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** A number, also as a text, as Caddy takes statuses. */
export function numberAt(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

const units: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 3.6e6,
  d: 8.64e7,
};

/** A duration in whole milliseconds: Caddy's are nanoseconds, or texts such as `1m30s`. */
export function durationMsAt(value: unknown): number | null {
  if (typeof value === 'number') return value <= 0 ? null : Math.max(1, Math.round(value / 1e6));
  if (typeof value !== 'string' || !/^(?:[\d.]+(?:ns|us|µs|ms|s|m|h|d))+$/.test(value)) return null;
  let ms = 0;
  for (const [, count, unit] of value.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h|d)/g))
    ms += Number(count) * (units[unit!] ?? 0);
  return ms <= 0 ? null : Math.max(1, Math.round(ms));
}
