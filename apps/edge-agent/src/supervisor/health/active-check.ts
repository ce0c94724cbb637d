import type { Boundary } from '@lockstep/contract';
import type { ActiveCheckSpec } from './probe.ts';

/** Checks that begin at once, as all do when an edge starts, begin within this time. */
const firstWithinMs = 250;

export interface ActiveCheckOptions {
  check: ActiveCheckSpec;
  /** Whether it was well when it was looked at last, by a check of another revision of the route; null: not known. */
  before: boolean | null;
  /** Resolves with why the upstream is not well, in words; null: it is. */
  probe(): Promise<string | null>;
  /** A check ended: how the upstream stands by those so far. */
  onResult(standing: CheckStanding): void;
  boundary: Boundary;
  random?: () => number;
}

export interface CheckStanding {
  well: boolean;
  /** Why the last check failed; null: it passed. */
  fault: string | null;
}

/** Asks one upstream again and again whether it is well. What is not known yet, the first check decides; from then on it takes several in a row. */
export interface ActiveCheck {
  close(): void;
}

export function createActiveCheck(options: ActiveCheckOptions): ActiveCheck {
  const { check, probe, onResult, boundary, random = Math.random } = options;
  let well = options.before ?? true;
  let known = options.before !== null;
  /** Checks in a row that say otherwise. */
  let against = 0;
  let timer: NodeJS.Timeout;
  let closed = false;

  function schedule(afterMs: number): void {
    if (closed) return;
    timer = setTimeout(
      boundary.guard('health', () => void run()),
      Math.max(0, afterMs),
    );
  }

  async function run(): Promise<void> {
    const startedAt = Date.now();
    try {
      const fault = await probe();
      if (closed) return;
      judge(fault === null);
      onResult({ well, fault });
    } catch (error) {
      boundary.note('health', error);
    }
    schedule(check.intervalMs * (0.9 + 0.2 * random()) - (Date.now() - startedAt));
  }

  function judge(passed: boolean): void {
    against = passed === well ? 0 : against + 1;
    const enough = !known ? 1 : well ? check.unhealthyAfter : check.healthyAfter;
    known = true;
    if (against < enough) return;
    well = passed;
    against = 0;
  }

  schedule(random() * Math.min(firstWithinMs, check.intervalMs));
  return {
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
