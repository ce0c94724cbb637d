import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2';
import { addAbortSignal } from 'node:stream';
import type { Dispatcher } from 'undici';
import { AnswerHead } from './answer-head.ts';
import { ExchangeError } from './failure-cause.ts';
import type { CarriedRequest, CarrierHandler } from './request-carrier.ts';

const { NGHTTP2_FLAG_END_STREAM, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants;

/** A session that takes no new request. */
const ended = new Set(['ERR_HTTP2_GOAWAY_SESSION', 'ERR_HTTP2_INVALID_SESSION']);

const cancelled = AbortSignal.abort();
const noRequest = {} as CarriedRequest;
const nobody: CarrierHandler = {};

/** What a stream of HTTP/2 tells of its end, beside what it tells to the handler. */
export interface StreamOwner {
  readonly headBytes: number;
  /** Over TLS. */
  readonly secure: boolean;
  /** The upstream did nothing with the request: whether another session takes it on. */
  again(options: CarriedRequest, handler: CarrierHandler): boolean;
  /** Why the session ended, where it did. */
  sessionError(): Error | null;
}

/** One exchange over a stream of HTTP/2, as undici's client would tell of it. */
export class Http2Exchange implements Dispatcher.DispatchController {
  rawHeaders: string[] | null = null;
  rawTrailers: string[] = [];
  aborted = false;
  reason: Error | null = null;
  #options: CarriedRequest;
  #handler: CarrierHandler;
  readonly #owner: StreamOwner;
  #stream: ClientHttp2Stream | null = null;
  #began = false;
  #answered = false;
  /** The upstream has said that this is the end. */
  #complete = false;
  #over = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: CarriedRequest, handler: CarrierHandler, owner: StreamOwner) {
    this.#options = options;
    this.#handler = handler;
    this.#owner = owner;
  }

  get paused(): boolean {
    return this.#stream?.isPaused() ?? false;
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    if (!this.#over) this.#stream?.resume();
  }

  abort(reason: Error): void {
    if (this.#over) return;
    this.aborted = true;
    this.reason = reason;
    this.#fail(reason);
  }

  /** To be called once. What the handler throws ends the exchange. */
  start(session: ClientHttp2Session): void {
    const { body } = this.#options;
    this.#handler.onRequestStart!(this, null);
    if (this.aborted) return;
    try {
      const fields = this.#fields();
      const stream = session.request(fields as never, {
        endStream: body === null,
        // Where it is announced (RFC 9110, section 6.6.2): Node can end the process over a stream that waits for one.
        waitForTrailers: body !== null && announcesTrailer(fields),
      });
      this.#stream = stream;
      this.#listen(stream);
      if (body === null) this.#awaitHead();
      else this.#send(stream);
    } catch (error) {
      if (ended.has(String((error as { code?: unknown }).code))) this.#again(error as Error);
      else this.#fail(error as Error);
    }
  }

  /** The upstream did nothing with it: any request may be sent once more. */
  #again(error: Error): void {
    this.#over = true;
    this.#clearTimer();
    this.#handler.onRequestUnsent?.();
    if (this.#owner.again(this.#options, this.#handler)) return;
    this.#over = false;
    this.#fail(error);
  }

  #fields(): string[] {
    const { method, path, headers, body } = this.#options;
    const scheme = this.#owner.secure ? 'https' : 'http';
    // The first of the fields is Host.
    const fields = [':method', method, ':scheme', scheme, ':path', path, ':authority', headers[1]!];
    for (let i = 2; i < headers.length; i += 2) fields.push(headers[i]!.toLowerCase(), headers[i + 1]!);
    if (body?.expectsContinue) fields.push('expect', '100-continue');
    return fields;
  }

  #listen(stream: ClientHttp2Stream): void {
    const guarded =
      <A extends unknown[]>(run: (...args: A) => void) =>
      (...args: A) => {
        if (this.#over) return;
        try {
          run(...args);
        } catch (error) {
          this.#fail(error as Error);
        }
      };
    const onHead = guarded((head: { ':status'?: number }, flags: number, raw: string[]) =>
      this.#onHead(Number(head[':status']), raw, (flags & NGHTTP2_FLAG_END_STREAM) !== 0),
    );
    stream.on('headers', onHead as never);
    stream.on('response', onHead as never);
    stream.on('trailers', ((_: object, _flags: number, raw: string[]) => {
      this.rawTrailers = raw;
    }) as never);
    stream.on(
      'data',
      guarded((chunk: Buffer) => {
        this.#timer?.refresh();
        this.#handler.onResponseData!(this, chunk);
      }),
    );
    // Node ends a stream whose connection broke off as it ends others; what tells them apart is which of the two comes first.
    const { push } = stream;
    stream.push = (chunk: unknown, ...rest: never[]) => {
      if (chunk === null && stream.rstCode === NGHTTP2_NO_ERROR) this.#complete = true;
      return push.call(stream, chunk, ...rest);
    };
    stream.on('end', guarded(this.#onEnd));
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // nghttp2 tells of a request that it does not send by this alone.
      if (error.code !== 'ERR_HTTP2_STREAM_ERROR') this.reason ??= error;
      // Node does not see to it that it closes.
      if (!stream.destroyed) this.#fail(error);
    });
    stream.on('close', () => {
      this.#onClose();
      if (this.#over) this.#letGo();
    });
  }

  #onHead(statusCode: number, raw: string[], ends: boolean): void {
    if (!this.#began) {
      this.#began = true;
      this.#handler.onResponseStarted?.();
    }
    const head = AnswerHead.ofPairs(raw, ends);
    if (head.bytes > this.#owner.headBytes) throw new ExchangeError('upstream_head_too_large');
    if (statusCode >= 200) {
      this.#answered = true;
      this.#setTimer(this.#options.bodyTimeout, 'upstream_timeout_body');
    }
    this.#handler.onResponseStart!(this, statusCode, head as never, undefined);
  }

  #onEnd = (): void => {
    if (!this.#answered || !this.#complete) return;
    this.#finish();
    const { body } = this.#options;
    // RFC 9113, section 8.1: the answer is complete, whatever of the request is still to come.
    if (body !== null && !body.readableEnded) {
      body.destroy();
      this.#cancel();
    }
    this.#handler.onResponseEnd!(this, {});
  };

  /** The connection is gone, and the client had not taken all of the answer, which is here as a whole. */
  #takeRest(stream: ClientHttp2Stream): void {
    try {
      for (let chunk = stream.read(); chunk !== null && !this.#over; chunk = stream.read())
        this.#handler.onResponseData!(this, chunk);
      if (!this.#over) this.#onEnd();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #onClose = (): void => {
    if (this.#over) return;
    const stream = this.#stream!;
    if (this.#answered && this.#complete) {
      this.#takeRest(stream);
      return;
    }
    const { body } = this.#options;
    const refused = stream.rstCode === NGHTTP2_REFUSED_STREAM && !this.#began;
    // RFC 9113, section 8.7.
    const error = this.#errorOf(stream.rstCode);
    if (refused && (body === null || !body.readableDidRead)) this.#again(error);
    else this.#fail(error);
  };

  /** V8 keeps a stream of Node's among its old objects, and so all that it leads to (as `ClientStream` says). */
  #letGo(): void {
    this.#options = noRequest;
    this.#handler = nobody;
  }

  #errorOf(rstCode: number): Error {
    const { reason } = this;
    if (reason !== null) return reason;
    const broken = this.#owner.sessionError();
    if (broken !== null) return broken;
    if (rstCode === NGHTTP2_NO_ERROR) return new ExchangeError('upstream_closed');
    return new ExchangeError('upstream_reset', `the upstream reset the stream: ${nameOf(rstCode)}`);
  }

  #send(stream: ClientHttp2Stream): void {
    const body = this.#options.body!;
    stream.on('wantTrailers', () => {
      try {
        stream.sendTrailers(lowered(body.trailer ?? []));
      } catch (error) {
        this.#fail(error as Error);
      }
    });
    stream.on('drain', () => body.resume());
    body.on('data', (chunk: Buffer) => {
      // Not behind a reset with NO_ERROR, which comes with a complete answer (RFC 9113, section 8.1): that one may still be on its way to the client.
      if (!this.#over && stream.writable && !stream.write(chunk)) body.pause();
    });
    body.on('end', () => {
      if (this.#over) return;
      stream.end();
      this.#awaitHead();
    });
    body.on('error', (error) => this.#fail(error));
  }

  #awaitHead(): void {
    if (!this.#answered) this.#setTimer(this.#options.headersTimeout, 'upstream_timeout_first_byte');
  }

  #setTimer(ms: number, failure: 'upstream_timeout_first_byte' | 'upstream_timeout_body'): void {
    this.#clearTimer();
    if (ms === 0) return;
    this.#timer = setTimeout(() => {
      // It is the client that is waited for.
      if (this.paused) this.#timer?.refresh();
      else this.#fail(new ExchangeError(failure));
    }, ms);
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #finish(): void {
    this.#over = true;
    this.#clearTimer();
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#finish();
    this.#cancel();
    this.#handler.onResponseError!(this, error);
  }

  /**
   * Resets it with CANCEL. Node's `close` would end it first, and half of an upload pass for all of it. Later: a stream that is closed while Node still reads for its session is closed in the wrong order, which can end the process.
   */
  #cancel(): void {
    const stream = this.#stream;
    if (stream !== null) setImmediate(() => addAbortSignal(cancelled, stream));
  }
}

function announcesTrailer(fields: readonly string[]): boolean {
  for (let i = 8; i < fields.length; i += 2) if (fields[i] === 'trailer') return true;
  return false;
}

function lowered(pairs: readonly string[]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!.toLowerCase();
    const before = fields[name];
    fields[name] = before === undefined ? pairs[i + 1]! : [before, pairs[i + 1]!].flat();
  }
  return fields;
}

function nameOf(code: number): string {
  const known = Object.entries(constants).find(
    ([name, value]) =>
      value === code && /^NGHTTP2_(?!FLAG_|ERR_|HCAT_|DEFAULT_|SETTINGS_|NV_|STREAM_|SESSION_|H)/.test(name),
  );
  return known?.[0].slice('NGHTTP2_'.length) ?? String(code);
}
