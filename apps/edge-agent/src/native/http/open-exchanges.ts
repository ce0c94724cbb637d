import type { ExchangeWatch } from './exchange-watch.ts';

/**
 * The exchanges of a worker that are under way. Not a Set: V8 makes a table anew every few dozen changes, and each old one keeps the next, so
 * that once one is old enough every exchange after it outlives the collections that cost little.
 */
export class OpenExchanges {
  readonly #all: ExchangeWatch[] = [];

  get size(): number {
    return this.#all.length;
  }

  add(watch: ExchangeWatch): void {
    watch.place = this.#all.push(watch) - 1;
  }

  /** Does nothing for one that is not among them. */
  delete(watch: ExchangeWatch): void {
    const { place } = watch;
    if (place === -1) return;
    watch.place = -1;
    const last = this.#all.pop()!;
    if (last === watch) return;
    this.#all[place] = last;
    last.place = place;
  }

  /** As they are now: what is added or deleted later changes nothing of it. */
  all(): ExchangeWatch[] {
    return [...this.#all];
  }
}
