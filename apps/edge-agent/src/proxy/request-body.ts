import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { Readable } from 'node:stream';
import { ExchangeError } from './failure-cause.ts';

/**
 * A client's body on its way to the upstream. It reads nothing before the upstream's connection asks, so a dial that
 * fails leaves it whole for the next one; and it can be given up without destroying the client's connection, on which the
 * answer still has to go out.
 */
export class RequestBody extends Readable {
  /** The client waits for a 100 before it sends the body. */
  readonly expectsContinue: boolean;
  receivedBytes = 0;
  readonly #source: IncomingMessage | Http2ServerRequest;
  #attached = false;

  constructor(source: IncomingMessage | Http2ServerRequest, expectsContinue: boolean) {
    super({ highWaterMark: 65_536 });
    this.#source = source;
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
    if (!this.push(chunk)) this.#source.pause();
  };

  #onEnd = (): void => {
    this.push(null);
  };

  #onClose = (): void => {
    if (!this.#source.readableEnded) this.destroy(new ExchangeError('client_body_broke_off'));
  };
}
