import { ExchangeError } from './failure-cause.ts';
import type { RequestBody } from './request-body.ts';

const mostInterimAnswers = 32;

/**
 * The interim answers to a request, of which there may not be many, and the time to the final head. undici begins anew to count it with each of
 * them; this does not.
 */
export class InterimAnswers {
  readonly #onLate: () => void;
  #count = 0;
  #timer: NodeJS.Timeout | null = null;
  #over = false;

  constructor(onLate: () => void) {
    this.#onLate = onLate;
  }

  /** One more came. `sentAt`: when the request went out. */
  add(statusCode: number, body: RequestBody | null, sentAt: number, firstByteMs: number): void {
    if (statusCode < 100) throw new ExchangeError('upstream_head_invalid', `the status is ${statusCode}`);
    if (statusCode === 101) throw new ExchangeError('upstream_upgrade_unasked');
    this.#count += 1;
    if (this.#count > mostInterimAnswers) {
      throw new ExchangeError('upstream_head_invalid', `more than ${mostInterimAnswers} interim answers`);
    }
    if (this.#count > 1) return;
    // A client may take long with its body, and has deadlines of its own.
    if (body === null) this.#start(sentAt + firstByteMs - performance.now());
    else if (body.isTaken) this.#start(firstByteMs);
    else body.once('end', () => this.#start(firstByteMs));
  }

  #start(ms: number): void {
    if (!this.#over) this.#timer = setTimeout(this.#onLate, Math.max(ms, 1));
  }

  /** The final head came, or comes no more. */
  stop(): void {
    this.#over = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
