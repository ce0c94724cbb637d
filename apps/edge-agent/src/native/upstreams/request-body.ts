import { Readable } from 'node:stream';
import type { EdgeSettings } from '@lockstep/contract';
import type { ClientRequest } from '../../server/client-message.ts';
import { ExchangeError } from './failure-cause.ts';
import { forwardTrailer } from './trailer-fields.ts';

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

  override _read(): void {
    if (this.#attached) {
      this.#source.resume();
      return;
    }
    this.#attached = true;
    this.#source.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const source = this.#source;
    source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose);
    // What the upstream did not want is read to nowhere: the connection's next request comes after it.
    source.resume();
    callback(error);
  }

  #onData = (chunk: Buffer): void => {
    this.receivedBytes += chunk.length;
    if (this.receivedBytes > this.#mostBytes) this.destroy(new ExchangeError('client_body_too_large'));
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
      if (this.trailer !== null) this.prependOnceListener('end', () => this.onTrailer?.());
    }
    this.push(null);
  };

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
