import type { RouteRetries } from '@lockstep/contract';

export type RetryReason = RouteRetries['on'][number];

/** Of all requests in the last while so many may be repeats, and a few more where there are not many. */
const share = 0.2;
const least = 10;
const windowMs = 10_000;

/** When requests of a route are sent once more, and how often at most: repeats must not weigh down upstreams that are in need already. */
export class RetryBudget {
  readonly attempts: number;
  readonly #on: ReadonlySet<RetryReason>;
  #until = 0;
  /** In this half of the window, and in the one before. */
  #requests = 0;
  #requestsBefore = 0;
  #repeats = 0;
  #repeatsBefore = 0;

  constructor({ attempts, on }: RouteRetries) {
    this.attempts = attempts;
    this.#on = new Set(on);
  }

  isOf({ attempts, on }: RouteRetries): boolean {
    return (
      attempts === this.attempts && new Set(on).size === this.#on.size && on.every((one) => this.#on.has(one))
    );
  }

  covers(reason: RetryReason): boolean {
    return this.#on.has(reason);
  }

  onRequest(now: number): void {
    if (now >= this.#until) this.#turn(now);
    this.#requests += 1;
  }

  /** True: it is spent. */
  spend(now: number): boolean {
    if (now >= this.#until) this.#turn(now);
    const repeats = this.#repeats + this.#repeatsBefore;
    if (repeats >= Math.max(least, share * (this.#requests + this.#requestsBefore))) return false;
    this.#repeats += 1;
    return true;
  }

  #turn(now: number): void {
    const stale = now >= this.#until + windowMs / 2;
    this.#requestsBefore = stale ? 0 : this.#requests;
    this.#repeatsBefore = stale ? 0 : this.#repeats;
    this.#requests = 0;
    this.#repeats = 0;
    this.#until = now + windowMs / 2;
  }
}
