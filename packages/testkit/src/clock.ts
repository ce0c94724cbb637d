export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  advance(ms: number): void;
}

/** A clock that stands still until it is told to go on. */
export function createClock(start = Date.parse('2026-11-24T00:00:00Z')): Clock {
  let time = start;
  return {
    now: () => time,
    advance(ms) {
      time += ms;
    },
  };
}
