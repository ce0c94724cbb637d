/**
 * Which of a route's upstreams a request goes to. Another policy (least connections, weights) is another implementation of this.
 *
 * This is also where health will be read: the supervisor decides once for the whole edge which upstreams are well, and its verdicts come
 * to each worker as messages (`ToWorker` in worker/worker-message.ts).
 */
export interface UpstreamChoice {
  /** The place of the upstream among those of the route. `failed` is the place of the one that could not be reached before, -1 at first. */
  choose(failed: number): number;
}

/** Deals requests out in turn; behind one that cannot be reached comes the next one of the list. */
export class RoundRobin implements UpstreamChoice {
  readonly #count: number;
  #next = 0;

  constructor(count: number) {
    this.#count = count;
  }

  choose(failed: number): number {
    if (failed !== -1) return (failed + 1) % this.#count;
    const chosen = this.#next;
    this.#next = (chosen + 1) % this.#count;
    return chosen;
  }
}
