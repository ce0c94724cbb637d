import { ExchangeError } from './failure-cause.ts';
import { type Waiting, WaitingLine } from './waiting-line.ts';

/** Who waits in a room is told when it has waited for too long, or has to make place. */
export interface Guest extends Waiting {
  onBusy(error: ExchangeError): void;
}

/** Where requests wait for an upstream: only so many, each only for so long. */
export class WaitingRoom<T extends Guest> {
  readonly #line = new WaitingLine<T>();
  #timer: NodeJS.Timeout | null = null;

  get size(): number {
    return this.#line.size;
  }

  /** Whose turn it is, where somebody waits. */
  get first(): T | null {
    return this.#line.first;
  }

  enter(guest: T, { pending, pendingMs }: { pending: number; pendingMs: number }): void {
    if (this.#line.size >= pending) {
      const refused = pending === 0 ? guest : (this.#line.giveWay(guest.client) ?? guest);
      refused.onBusy(new ExchangeError('upstream_busy', `${pending} requests wait already`));
      if (refused === guest) return;
    }
    // The timer may be that of one who waits no more.
    if (this.#line.size === 0 && this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    this.#line.add(guest, Date.now() + pendingMs);
    this.#timer ??= setTimeout(this.#giveUp, pendingMs).unref();
  }

  /** Does nothing for one that does not wait. */
  leave(guest: T): void {
    this.#line.delete(guest);
  }

  /** Whose turn it is; it waits no more. */
  next(): T | null {
    return this.#line.next();
  }

  #giveUp = (): void => {
    this.#timer = null;
    const now = Date.now();
    for (const guest of this.#line.expire(now)) {
      guest.onBusy(new ExchangeError('upstream_busy', 'none became free in time'));
    }
    if (this.#line.size > 0) this.#timer ??= setTimeout(this.#giveUp, this.#line.earliest - now).unref();
  };

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const guest of this.#line.clear())
      guest.onBusy(new ExchangeError('upstream_busy', 'the edge is about to stop'));
  }
}
