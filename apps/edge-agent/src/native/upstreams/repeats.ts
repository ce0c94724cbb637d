import type { RequestTargets } from './request-targets.ts';
import type { RetryReason } from './retry-budget.ts';

/** Before the same upstream is tried again; doubled each time. */
const firstPauseMs = 25;
const longestPauseMs = 1_000;

/** Where a request was tried in vain, and how often its route still has it sent. Made once there is doubt about an attempt. */
export class Repeats {
  readonly #targets: Pick<RequestTargets, 'retries' | 'onRepeat'>;
  #count = 0;
  #tried: Set<number> | null = null;
  #pause: NodeJS.Timeout | null = null;

  constructor(targets: Pick<RequestTargets, 'retries' | 'onRepeat'>) {
    this.#targets = targets;
  }

  /** The places of those upstreams; null before the first, and when all may be tried again. */
  get tried(): ReadonlySet<number> | null {
    return this.#tried;
  }

  triedAt(place: number): void {
    this.#tried ??= new Set();
    this.#tried.add(place);
  }

  /** Whether the route has it repeated. */
  allows(reason: RetryReason): boolean {
    const { retries } = this.#targets;
    return retries?.covers(reason) === true && this.#count < retries.attempts;
  }

  /** Takes one of those that are allowed out of the budget, while there is one. */
  spend(): boolean {
    if (this.#targets.retries!.spend(Date.now())) return true;
    this.#targets.onRepeat('no_budget');
    return false;
  }

  /** `counts`: it is one of those that the route has. */
  note(reason: RetryReason, counts: boolean): void {
    if (counts) this.#count += 1;
    this.#targets.onRepeat(reason);
  }

  /** All were tried: any may be again after a while. */
  pause(onOver: () => void): void {
    this.#tried = null;
    const pauseMs = Math.min(firstPauseMs * 2 ** Math.max(this.#count - 1, 0), longestPauseMs);
    this.#pause = setTimeout(onOver, pauseMs * (0.5 + Math.random()));
  }

  stop(): void {
    if (this.#pause !== null) clearTimeout(this.#pause);
  }
}
