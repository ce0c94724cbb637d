import type { AnswerHandler } from './answer-handler.ts';
import type { AnswerHead } from './answer-head.ts';

const mostBytes = 65_536;
/** Event streams and long answers do not wait longer. */
const mostMs = 250;

/**
 * The beginning of an answer of an upstream that failed of late: it is passed on once it is complete, or there is much of it. One that breaks off before
 * leaves the request to be sent elsewhere.
 */
export class HeldAnswer {
  readonly #statusCode: number;
  readonly #head: AnswerHead;
  readonly #statusMessage: string | undefined;
  readonly chunks: Buffer[] = [];
  #bytes = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(statusCode: number, head: AnswerHead, statusMessage: string | undefined, onLong: () => void) {
    this.#statusCode = statusCode;
    this.#head = head;
    this.#statusMessage = statusMessage;
    this.#timer = setTimeout(onLong, mostMs);
  }

  /** False once it is too much to hold. */
  add(chunk: Buffer): boolean {
    // What it came in is read into again.
    this.chunks.push(Buffer.from(chunk));
    this.#bytes += chunk.length;
    return this.#bytes <= mostBytes;
  }

  passHead(handler: AnswerHandler): void {
    clearTimeout(this.#timer);
    handler.onHead(this.#statusCode, this.#head, this.#statusMessage);
  }

  drop(): void {
    clearTimeout(this.#timer);
  }
}
