/** The first fault of a place is logged, and then one in so long: a flood of them must not fill the log. */
const tellAgainMs = 60_000;

/**
 * Where a process meets what others send or do: a message, a socket, a timer. What is thrown there ends that one exchange. It is
 * counted and logged, and the process goes on.
 */
export interface Boundary {
  /** `work`, made safe; also when it rejects. */
  guard<A extends unknown[]>(place: string, work: (...args: A) => unknown): (...args: A) => void;
  /** Counts and logs what was caught elsewhere. */
  note(place: string, error: unknown): void;
  /** How many there were, by place. */
  readonly exceptions: Readonly<Record<string, number>>;
}

export function createBoundary(
  log: { error(facts: object, message: string): void },
  now: () => number = Date.now,
): Boundary {
  const exceptions: Record<string, number> = {};
  const toldAt = new Map<string, number>();

  function note(place: string, error: unknown): void {
    exceptions[place] = (exceptions[place] ?? 0) + 1;
    if (now() - (toldAt.get(place) ?? Number.NEGATIVE_INFINITY) < tellAgainMs) return;
    toldAt.set(place, now());
    log.error(
      { err: error, place, times: exceptions[place] },
      'something could not be handled and was passed over',
    );
  }

  return {
    guard(place, work) {
      return (...args) => {
        try {
          const result = work(...args);
          if (result instanceof Promise) result.catch((error) => note(place, error));
        } catch (error) {
          note(place, error);
        }
      };
    },
    note,
    exceptions,
  };
}
