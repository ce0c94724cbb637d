/** Who waits, and on whose account. */
export interface Waiting {
  /** Stays the same for as long as it waits. */
  readonly client: string;
}

/**
 * Those who wait for something, taken client by client in turns, and of each client in the order in which they came: however many one
 * sends, the others wait no longer for it.
 */
export class WaitingLine<T extends Waiting> {
  /** Each with when it has waited long enough. Whose turn is next stands first. */
  readonly #byClient = new Map<string, Map<T, number>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(one: T, until: number): void {
    let own = this.#byClient.get(one.client);
    if (own === undefined) {
      own = new Map();
      this.#byClient.set(one.client, own);
    }
    own.set(one, until);
    this.#size += 1;
  }

  /** Does nothing for one that does not wait. */
  delete(one: T): void {
    const own = this.#byClient.get(one.client);
    if (own?.delete(one) !== true) return;
    this.#size -= 1;
    if (own.size === 0) this.#byClient.delete(one.client);
  }

  /** Whose turn it is. */
  get first(): T | null {
    for (const own of this.#byClient.values()) for (const one of own.keys()) return one;
    return null;
  }

  /** Whose turn it is; it waits no more. */
  next(): T | null {
    for (const [client, own] of this.#byClient) {
      for (const one of own.keys()) {
        this.delete(one);
        if (own.size > 0) {
          this.#byClient.delete(client);
          this.#byClient.set(client, own);
        }
        return one;
      }
    }
    return null;
  }

  /** In a full line: who gives way to one more of this client, and waits no more. Null: this client has as many as any other. */
  giveWay(client: string): T | null {
    let longest: Map<T, number> | null = null;
    for (const own of this.#byClient.values()) if (longest === null || own.size > longest.size) longest = own;
    if (longest === null || longest.size <= (this.#byClient.get(client)?.size ?? 0) + 1) return null;
    const last = [...longest.keys()].at(-1)!;
    this.delete(last);
    return last;
  }

  /** Takes out all that have waited long enough. */
  expire(now: number): T[] {
    const expired: T[] = [];
    for (const own of this.#byClient.values()) {
      for (const [one, until] of own) {
        if (until > now) break;
        expired.push(one);
      }
    }
    for (const one of expired) this.delete(one);
    return expired;
  }

  /** When the next has waited long enough. */
  get earliest(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const own of this.#byClient.values()) {
      for (const until of own.values()) {
        earliest = Math.min(earliest, until);
        break;
      }
    }
    return earliest;
  }

  /** Empties the line. */
  clear(): T[] {
    const all = [...this.#byClient.values()].flatMap((own) => [...own.keys()]);
    this.#byClient.clear();
    this.#size = 0;
    return all;
  }
}
