/** What a choice may go by. */
export interface ChoiceRequest {
  /** Flat pairs. */
  readonly headers: readonly string[];
  readonly clientAddress: string;
  /** It does no harm where it is sent to two of them. */
  readonly mayGoTwice: boolean;
}

/** Which of a route's upstreams a request goes to. */
export interface UpstreamChoice {
  /**
   * The place of the upstream among those of the route; -1: none is left. `tried` are the places where it could not be sent, or was
   * in vain; null at first.
   */
  choose(request: ChoiceRequest, tried: ReadonlySet<number> | null): number;
}

/** Deals requests out in turn. For routes that say nothing else, and so cost nothing. */
export class RoundRobin implements UpstreamChoice {
  readonly #count: number;
  #next = 0;

  constructor(count: number) {
    this.#count = count;
  }

  choose(_request: ChoiceRequest, tried: ReadonlySet<number> | null): number {
    if (tried === null) {
      const chosen = this.#next;
      this.#next = (chosen + 1) % this.#count;
      return chosen;
    }
    for (let i = 0; i < this.#count; i += 1) {
      const place = (this.#next + i) % this.#count;
      if (!tried.has(place)) return place;
    }
    return -1;
  }
}
