import type { Socket } from 'node:net';
import { ExchangeError } from './failure-cause.ts';
import type { BodyTaker, RequestBody } from './request-body.ts';

/** A request as it is written. */
export interface WrittenRequest {
  readonly method: string;
  readonly path: string;
  /** Flat pairs; the first is Host. */
  readonly headers: readonly string[];
  readonly body: RequestBody | null;
  /** The protocols that are asked for. */
  readonly upgrade: string | null;
}

/** RFC 9110, section 8.6: those whose meaning anticipates a body say that there is none. */
const expectsBody = new Set(['POST', 'PUT', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH']);
// As undici has them: what could end a field, or a line, early.
const badValue = /[^\t\x20-\x7e\x80-\xff]/;
const badPath = /[^\x21-\xff]/;

/** The head, with the empty line behind it. Throws `request_not_forwardable`. `keepAlive`: the connection is to be kept. */
export function headOf(request: WrittenRequest, keepAlive: boolean): { head: string; length: number | null } {
  const { method, path, headers, body, upgrade } = request;
  if (badPath.test(path)) throw notForwardable('the target');
  let head = `${method} ${path} HTTP/1.1\r\nhost: ${headers[1]}\r\n`;
  if (upgrade !== null) head += `connection: upgrade\r\nupgrade: ${upgrade}\r\n`;
  else head += keepAlive ? 'connection: keep-alive\r\n' : 'connection: close\r\n';
  let length: number | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    if (badValue.test(value)) throw notForwardable(name);
    if (i === 0) continue;
    if (name.length === 14 && name.toLowerCase() === 'content-length') length = Number(value);
    else head += `${name}: ${value}\r\n`;
  }
  if (body === null) {
    return {
      head: expectsBody.has(method) ? `${head}content-length: 0\r\n\r\n` : `${head}\r\n`,
      length: null,
    };
  }
  if (body.expectsContinue) head += 'expect: 100-continue\r\n';
  head += length === null ? 'transfer-encoding: chunked\r\n\r\n' : `content-length: ${length}\r\n\r\n`;
  return { head, length };
}

function notForwardable(what: string): ExchangeError {
  return new ExchangeError('request_not_forwardable', `${what} has a character that cannot be written`);
}

export interface WriterEvents {
  /** The socket took more of it. */
  onProgress(): void;
  onEnd(): void;
  onError(error: unknown): void;
}

/** Writes the body of a request behind its head, no faster than the socket takes it. */
export class BodyWriter implements BodyTaker {
  readonly #socket: Socket;
  readonly #body: RequestBody;
  /** Null: chunked. */
  readonly #length: number | null;
  readonly #told: WriterEvents;
  #written = 0;

  constructor(socket: Socket, body: RequestBody, length: number | null, told: WriterEvents) {
    this.#socket = socket;
    this.#body = body;
    this.#length = length;
    this.#told = told;
  }

  start(): void {
    this.#socket.on('drain', this.#onDrain);
    this.#body.handTo(this);
  }

  /** Writes no more; what is left of the body is the caller's. */
  stop(): void {
    this.#socket.off('drain', this.#onDrain);
    this.#body.letGo();
  }

  #onDrain = (): void => {
    this.#told.onProgress();
    this.#body.resume();
  };

  onChunk(chunk: Buffer): void {
    const socket = this.#socket;
    this.#written += chunk.length;
    if (this.#length === null) {
      socket.cork();
      socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1');
      socket.write(chunk);
      socket.write('\r\n', 'latin1');
      socket.uncork();
    } else if (this.#written > this.#length) {
      this.onBodyError(new ExchangeError('client_body_broke_off', 'the body is longer than its length'));
      return;
    } else socket.write(chunk);
    if (socket.writableNeedDrain) this.#body.pause();
    else this.#told.onProgress();
  }

  onBodyEnd(): void {
    if (this.#length === null) {
      const { trailer } = this.#body;
      let lines = '';
      if (trailer !== null)
        for (let i = 0; i < trailer.length; i += 2) lines += `${trailer[i]}: ${trailer[i + 1]}\r\n`;
      this.#socket.write(`0\r\n${lines}\r\n`, 'latin1');
    } else if (this.#written !== this.#length) {
      this.onBodyError(new ExchangeError('client_body_broke_off'));
      return;
    }
    this.stop();
    this.#told.onEnd();
  }

  onBodyError(error: unknown): void {
    this.stop();
    this.#told.onError(error);
  }
}
