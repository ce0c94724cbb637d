import type { Socket } from 'node:net';
import type { Dispatcher } from 'undici';
import type { Release } from './answer-handler.ts';
import type { AnswerHead } from './answer-head.ts';
import type { BodyKind } from './answer-parser.ts';
import { ExchangeError } from './failure-cause.ts';
import { beginBody, endBody } from './read-on.ts';
import { BodyWriter, headOf, type WrittenRequest } from './request-writer.ts';

export interface PlainRequest extends WrittenRequest {
  /** 0: without. */
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
}

/** Whose connection an exchange is on. */
export interface ExchangeHolder {
  fail(exchange: PlainExchange, error: unknown): void;
}

/** Beside undici's own: who has written the chunk gives it back, if it is to be. */
interface TakesData {
  onResponseData(controller: unknown, chunk: Buffer, release: Release | undefined): void;
}

const headPhase = 0;
const bodyPhase = 1;

/** One exchange on a `PlainClient`: what undici's handlers get as their controller. */
export class PlainExchange implements Dispatcher.DispatchController {
  aborted = false;
  reason: Error | null = null;
  paused = false;
  rawTrailers: string[] = [];
  readonly rawHeaders = null;
  readonly handler: Dispatcher.DispatchHandler;
  /** The connection goes on after it, if the upstream wants to. */
  keeps: boolean;
  head: AnswerHead | null = null;
  /** 0 where the head names no length that counts. */
  bodyBytes = 0;
  /** What follows is another protocol. */
  switched = false;
  readonly #holder: ExchangeHolder;
  readonly #request: PlainRequest;
  #socket: Socket | null = null;
  #writer: BodyWriter | null = null;
  #phase = headPhase;
  /** Something came, or went, since the last look. */
  #moved = true;
  #movedAt = 0;
  #over = false;

  constructor(holder: ExchangeHolder, request: PlainRequest, handler: Dispatcher.DispatchHandler) {
    this.#holder = holder;
    this.#request = request;
    this.handler = handler;
    // After HEAD some upstreams send a body all the same, which would pass for the next answer.
    this.keeps = request.method !== 'HEAD' && request.upgrade === null;
  }

  start(socket: Socket): void {
    this.#socket = socket;
    const request = this.#request;
    try {
      const { head, length } = headOf(request, this.keeps);
      this.handler.onRequestStart?.(this as never, null);
      if (this.#over) return;
      if (request.body === null) {
        socket.write(head, 'latin1');
        return;
      }
      // Together with as much of the body as is there by the end of this turn.
      beginBody(socket);
      socket.cork();
      setImmediate(() => socket.uncork());
      socket.write(head, 'latin1');
      this.#writer = new BodyWriter(socket, request.body, length, this);
      this.#writer.start();
    } catch (error) {
      this.#holder.fail(this, error);
    }
  }

  onProgress(): void {
    this.#moved = true;
  }

  /** The request is out as a whole. */
  onEnd(): void {
    this.#writer = null;
    this.#moved = true;
  }

  onError(error: unknown): void {
    this.#holder.fail(this, error);
  }

  onHead(
    statusCode: number,
    statusMessage: string,
    head: AnswerHead,
    keepAlive: boolean,
    upgrade: boolean,
  ): BodyKind {
    this.#moved = true;
    if (upgrade) {
      if (this.#request.upgrade === null) throw new ExchangeError('upstream_upgrade_unasked');
      this.head = head;
      this.switched = true;
      return 2;
    }
    if (statusCode >= 200) {
      this.head = head;
      this.#phase = bodyPhase;
      if (!keepAlive) this.keeps = false;
      this.bodyBytes =
        statusCode === 204 || statusCode === 304 || this.#request.method === 'HEAD' ? 0 : lengthOf(head);
      head.bodyBytes = this.bodyBytes;
    }
    this.handler.onResponseStart?.(this as never, statusCode, head as never, statusMessage);
    if (statusCode < 200) return 0;
    return this.#request.method === 'HEAD' ? 1 : 0;
  }

  onBody(chunk: Buffer, release?: Release): void {
    this.#moved = true;
    if (!this.#over) (this.handler as TakesData).onResponseData(this, chunk, release);
  }

  /** The answer is complete. What is left of the request is nobody's, and its connection cannot be kept. */
  complete(trailer: string[]): void {
    this.#settle();
    this.rawTrailers = trailer;
    try {
      this.handler.onResponseEnd?.(this as never, {});
    } catch (error) {
      this.handler.onResponseError?.(this as never, error as Error);
    }
  }

  switch(socket: Socket): void {
    this.#settle();
    try {
      this.handler.onRequestUpgrade?.(this as never, 101, this.head as never, socket);
    } catch (error) {
      socket.destroy();
      this.handler.onResponseError?.(this as never, error as Error);
    }
  }

  fail(error: unknown): void {
    this.#settle();
    this.reason = error as Error;
    this.handler.onResponseError?.(this as never, error as Error);
  }

  #settle(): void {
    this.#over = true;
    if (this.#request.body !== null && this.#socket !== null) endBody(this.#socket);
    if (this.paused) {
      this.paused = false;
      this.#socket!.resume();
    }
    if (this.#writer === null) return;
    this.#writer.stop();
    this.#writer = null;
    this.#request.body!.destroy();
  }

  get writing(): boolean {
    return this.#writer !== null;
  }

  abort(reason: Error): void {
    if (this.#over) return;
    this.aborted = true;
    this.#holder.fail(this, reason);
  }

  pause(): void {
    if (this.#over || this.paused) return;
    this.paused = true;
    this.#socket!.pause();
  }

  resume(): void {
    if (this.#over || !this.paused) return;
    this.paused = false;
    this.#moved = true;
    this.#socket!.resume();
  }

  /** What took too long; null while nothing did. */
  overdue(now: number): ExchangeError | null {
    if (this.#moved || this.#socket === null) {
      this.#moved = false;
      this.#movedAt = now;
      return null;
    }
    if (this.paused) return null;
    const { headersTimeout, bodyTimeout } = this.#request;
    if (this.#phase === bodyPhase) {
      if (bodyTimeout === 0 || now - this.#movedAt < bodyTimeout) return null;
      return new ExchangeError('upstream_timeout_body');
    }
    // While the upstream takes the body it has the time that the client takes.
    if (this.#writer !== null && !this.#socket.writableNeedDrain) return null;
    if (headersTimeout === 0 || now - this.#movedAt < headersTimeout) return null;
    return new ExchangeError('upstream_timeout_first_byte');
  }
}

function lengthOf({ pairs }: AnswerHead): number {
  let length = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!;
    // Chunked counts instead (RFC 9112, section 6.3), if the parser lets both through.
    if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') return 0;
    if (name.length === 14 && name.toLowerCase() === 'content-length') length = Number(pairs[i + 1]);
  }
  return Number.isSafeInteger(length) ? length : 0;
}
