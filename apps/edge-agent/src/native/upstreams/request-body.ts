import { Readable } from 'node:stream';
import type { EdgeSettings } from '@lockstep/contract';
import type { ClientRequest } from '../../server/client-message.ts';
import { ExchangeError } from './failure-cause.ts';
import { forwardTrailer } from './trailer-fields.ts';

/** Who takes a body as it comes. */
export interface BodyTaker {
  onChunk(chunk: Buffer): void;
  /** It came as a whole. */
  onBodyEnd(): void;
  /** No more of it comes. */
  onBodyError(error: unknown): void;
}

/**
 * A client's body on its way to the upstream. It reads nothing before the upstream's connection asks, so a dial that
 * fails leaves it whole for the next one; and it can be given up without destroying the client's connection, on which the
 * answer still has to go out.
 */
export class RequestBody extends Readable {
  /** The client waits for a 100 before it sends the body. */
  readonly expectsContinue: boolean;
  receivedBytes = 0;
  /** What goes on behind the body, as flat pairs; known once it has ended. */
  trailer: string[] | null = null;
  /** Called where there is a trailer, when the body has ended and nobody else has heard of it. */
  onTrailer: (() => void) | null = null;
  readonly #source: ClientRequest;
  readonly #limits: EdgeSettings['limits'];
  readonly #mostBytes: number;
  #attached = false;
  #taker: BodyTaker | null = null;
  /** It is not read as a stream. */
  #handed = false;
  #handedWhole = false;

  /** Of `limits`, those of heads hold for the trailer. */
  constructor(
    source: ClientRequest,
    limits: EdgeSettings['limits'],
    expectsContinue: boolean,
    mostBytes: number = Number.POSITIVE_INFINITY,
  ) {
    super({ highWaterMark: 65_536 });
    this.#source = source;
    this.#limits = limits;
    this.#mostBytes = mostBytes;
    this.expectsContinue = expectsContinue;
    // It may break off when nobody listens yet, or any more.
    this.on('error', () => {});
  }

  /**
   * Has `taker` get it, instead of being read as a stream: a second queue would cost as much again as the first. To be called once, before
   * anything was read. `pause`, `resume` and `destroy` hold as they do for a stream.
   */
  handTo(taker: BodyTaker): void {
    this.#taker = taker;
    this.#handed = true;
    this.#attach();
  }

  /** Who took it hears no more. */
  letGo(): void {
    this.#taker = null;
  }

  /** All of it was given to whoever takes or reads it. */
  get isTaken(): boolean {
    return this.#handed ? this.#handedWhole : this.readableEnded;
  }

  override pause(): this {
    if (!this.#handed) return super.pause();
    this.#source.pause();
    return this;
  }

  override resume(): this {
    if (!this.#handed) return super.resume();
    this.#source.resume();
    return this;
  }

  override _read(): void {
    if (this.#attached) this.#source.resume();
    else this.#attach();
  }

  #attach(): void {
    this.#attached = true;
    this.#source.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose);
  }

  #detach(): void {
    this.#source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#detach();
    // What the upstream did not want is read to nowhere: the connection's next request comes after it.
    this.#source.resume();
    const taker = this.#taker;
    if (taker !== null)
      process.nextTick(() => {
        if (this.#taker === taker) taker.onBodyError(error ?? new ExchangeError('client_body_broke_off'));
      });
    callback(error);
  }

  #onData = (chunk: Buffer): void => {
    this.receivedBytes += chunk.length;
    if (this.receivedBytes > this.#mostBytes) this.destroy(new ExchangeError('client_body_too_large'));
    else if (this.#handed) this.#taker?.onChunk(chunk);
    else if (!this.push(chunk)) this.#source.pause();
  };

  #onEnd = (): void => {
    const { rawTrailers } = this.#source;
    if (this.#source.aborted) {
      this.destroy(new ExchangeError('client_body_broke_off'));
      return;
    }
    if (rawTrailers.length > 0 && !this.#fits(rawTrailers)) {
      this.destroy(new ExchangeError('client_trailer_too_large'));
      return;
    }
    if (rawTrailers.length > 0) {
      this.trailer = forwardTrailer(rawTrailers);
      if (this.trailer !== null && !this.#handed) this.prependOnceListener('end', () => this.onTrailer?.());
    }
    if (this.#handed) this.#endHanded();
    else this.push(null);
  };

  #endHanded(): void {
    this.#detach();
    this.#handedWhole = true;
    this.#taker?.onBodyEnd();
    this.emit('end');
  }

  #fits(trailer: string[]): boolean {
    const { headBytes, headFields } = this.#limits;
    return (
      trailer.length / 2 <= headFields && trailer.reduce((sum, text) => sum + text.length, 0) <= headBytes
    );
  }

  #onClose = (): void => {
    if (!this.#source.readableEnded) this.destroy(new ExchangeError('client_body_broke_off'));
  };
}
