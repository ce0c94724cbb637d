import { isDeepStrictEqual } from 'node:util';

/** Whether two values are the same once they are stored: a field that is undefined is as one left out, and order does not matter. */
export function sameJson(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
}
