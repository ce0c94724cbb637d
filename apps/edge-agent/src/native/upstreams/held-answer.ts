import type { Duplex } from 'node:stream';
import type { AnswerHandler, Release } from './answer-handler.ts';
import type { AnswerHead } from './answer-head.ts';
import type { FailureCause } from './failure-cause.ts';
import type { ClientEnds } from './proxy-header.ts';

const mostBytes = 65_536;
/** Event streams and long answers do not wait longer. */
const mostMs = 250;

/**
 * Stands in front of whoever takes the answer of an upstream that failed of late: the beginning is passed on once the answer is complete, or
 * there is much of it. One that breaks off before leaves the request to be sent elsewhere.
 */
export class HeldAnswer implements AnswerHandler {
  /** Who takes the answer in the end. */
  readonly behind: AnswerHandler;
  readonly #onFault: (error: Error) => void;
  #passHead: (() => void) | null = null;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #passedOn = false;

  /** `onFault` hears what is thrown where it is passed on at a time of its own. */
  constructor(behind: AnswerHandler, onFault: (error: Error) => void) {
    this.behind = behind;
    this.#onFault = onFault;
  }

  /** Something of the answer went on. */
  get passedOn(): boolean {
    return this.#passedOn;
  }

  get isOpen(): boolean {
    return this.behind.isOpen;
  }

  clientEnds(): ClientEnds {
    return this.behind.clientEnds();
  }

  onInterim(statusCode: number, head: AnswerHead): void {
    this.behind.onInterim(statusCode, head);
  }

  onHead(statusCode: number, head: AnswerHead, statusMessage: string | undefined): void {
    this.#passHead = () => this.behind.onHead(statusCode, head, statusMessage);
    this.#timer = setTimeout(() => this.#onLong(), mostMs);
  }

  onData(chunk: Buffer, release?: Release): void {
    if (this.#passedOn) {
      this.behind.onData(chunk, release);
      return;
    }
    // What it came in is read into again.
    this.#chunks.push(Buffer.from(chunk));
    this.#bytes += chunk.length;
    if (this.#bytes > mostBytes) this.#passOn();
  }

  onEnd(trailer: string[] | null): void {
    if (!this.#passedOn) this.#passOn();
    this.behind.onEnd(trailer);
  }

  onUpgrade(head: AnswerHead, protocol: string, upstream: Duplex): void {
    this.behind.onUpgrade(head, protocol, upstream);
  }

  onFailed(cause: FailureCause, dialled: boolean): void {
    this.drop();
    this.behind.onFailed(cause, dialled);
  }

  onBroken(): void {
    this.drop();
    this.behind.onBroken();
  }

  /** What is still held goes nowhere. */
  drop(): void {
    clearTimeout(this.#timer);
    this.#chunks = [];
  }

  #passOn(): void {
    const chunks = this.#chunks;
    this.drop();
    this.#passHead!();
    this.#passedOn = true;
    for (const chunk of chunks) this.behind.onData(chunk);
  }

  #onLong(): void {
    try {
      this.#passOn();
    } catch (error) {
      this.#onFault(error as Error);
    }
  }
}
