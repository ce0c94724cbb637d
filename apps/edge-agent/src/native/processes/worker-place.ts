import type { WorkerProcess } from './worker-process.ts';

/** A worker that lived shorter than this did not last. The first that do not are replaced at once, later ones after a pause. */
const shortLifeMs = 5_000;
const replacedAtOnce = 3;
const firstPauseMs = 100;
const longestPauseMs = 10_000;
/** A websocket may keep each of them for long, and each takes the memory of a worker. */
const mostRetired = 2;

/** Where a worker runs, and after it the one that replaces it. */
export class WorkerPlace {
  readonly index: number;
  worker: WorkerProcess | null = null;
  /** Is to replace it, once it serves. */
  coming: WorkerProcess | null = null;
  /** Were replaced by a reload, and go on with the connections they have; the oldest first. */
  readonly #retired = new Set<WorkerProcess>();
  #bornAt = 0;
  /** Workers in a row that did not last. */
  #shortLives = 0;

  constructor(index: number) {
    this.index = index;
  }

  /** All that may answer requests, or soon will. */
  get all(): WorkerProcess[] {
    return [this.worker, this.coming, ...this.#retired].filter((one) => one !== null);
  }

  /** To be called with the start of each worker. */
  onBirth(): void {
    this.#bornAt = Date.now();
  }

  /** How long the place is to stay empty when its worker died. To be called once for each. */
  pauseMs(): number {
    this.#shortLives = Date.now() - this.#bornAt < shortLifeMs ? this.#shortLives + 1 : 0;
    const pauses = this.#shortLives - replacedAtOnce;
    return pauses < 0 ? 0 : Math.min(firstPauseMs * 2 ** pauses, longestPauseMs);
  }

  /** The one that is to end now as there are too many; null: there is room for them. */
  retire(worker: WorkerProcess): WorkerProcess | null {
    this.#retired.add(worker);
    const [oldest] = this.#retired;
    return this.#retired.size > mostRetired ? oldest! : null;
  }

  /** It has ended; what it was here, or null where it had no part any more. */
  remove(worker: WorkerProcess): 'worker' | 'coming' | 'retired' | null {
    if (this.#retired.delete(worker)) return 'retired';
    if (this.coming === worker) {
      this.coming = null;
      return 'coming';
    }
    if (this.worker !== worker) return null;
    this.worker = null;
    return 'worker';
  }
}
