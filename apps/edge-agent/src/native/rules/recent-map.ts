export interface RecentMapOptions {
  /** Half of it stay at least, those in use. */
  most: number;
  /** What is not asked for in this time is gone, after twice of it at the latest. Left out: only for want of room. */
  keptMs?: number;
  now?: () => number;
}

/** What was used lately, and no more of it than there is room for: in two halves, of which the older one goes as a whole. */
export class RecentMap<V> {
  readonly #options: RecentMapOptions;
  #newer = new Map<string, V>();
  #older = new Map<string, V>();
  #turnedAt: number;

  constructor(options: RecentMapOptions) {
    this.#options = options;
    this.#turnedAt = this.#now();
  }

  get size(): number {
    return this.#newer.size + this.#older.size;
  }

  get(key: string): V | undefined {
    this.#expire();
    const value = this.#newer.get(key);
    if (value !== undefined) return value;
    const old = this.#older.get(key);
    if (old === undefined) return undefined;
    this.#older.delete(key);
    this.set(key, old);
    return old;
  }

  set(key: string, value: V): void {
    this.#expire();
    if (this.#newer.size >= this.#options.most / 2 && !this.#newer.has(key)) this.#turn();
    this.#newer.set(key, value);
  }

  #expire(): void {
    const { keptMs } = this.#options;
    if (keptMs === undefined) return;
    const now = this.#now();
    if (now - this.#turnedAt < keptMs) return;
    if (now - this.#turnedAt >= 2 * keptMs) this.#newer = new Map();
    this.#turn();
  }

  #turn(): void {
    this.#older = this.#newer;
    this.#newer = new Map();
    this.#turnedAt = this.#now();
  }

  #now(): number {
    return (this.#options.now ?? monotonic)();
  }
}

function monotonic(): number {
  return performance.now();
}
