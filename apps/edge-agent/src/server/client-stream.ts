import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';

/** The connection of streams. */
export interface StreamConnection {
  readonly socket: TLSSocket;
  /** A stream of it is over. */
  onStreamClosed(stream: ServerHttp2Stream): void;
}

type Listener = () => void;

const plain = {};
const trailing = { waitForTrailers: true };
const ending = { endStream: true };
const none: string[] = [];
const noHeaders: IncomingHttpHeaders = {};
const brokenOff = new Error('the answer was broken off');

/**
 * A request over HTTP/2, and its answer: both are one stream. Node's own request and response of HTTP/2 imitate those of HTTP/1, at more than a
 * third of what a small exchange costs; this has what the edge asks of either, under the same names where it means the same.
 */
export class ClientStream {
  readonly stream: ServerHttp2Stream;
  headers: IncomingHttpHeaders;
  /** Flat pairs, pseudo-fields among them. */
  rawHeaders: string[];
  /** Of the connection. */
  readonly socket: TLSSocket;
  rawTrailers: string[] = none;
  /** Of the final answer; 0 before its head. */
  statusCode = 0;
  headersSent = false;
  /** Of the body of an answer that was whole from the beginning. */
  ownBytes = 0;
  readonly #connection: StreamConnection;
  #onClose: Listener | null = null;
  #alsoOnClose: Listener[] | null = null;

  constructor(
    connection: StreamConnection,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: string[],
  ) {
    this.stream = stream;
    this.headers = headers;
    this.rawHeaders = rawHeaders;
    this.socket = connection.socket;
    this.#connection = connection;
    stream.on('close', () => this.#closed());
    // What it was closed with is seen by its end.
    stream.on('error', ignore);
    if (!stream.endAfterHeaders)
      stream.on('trailers', ((_fields: object, _flags: number, raw: string[]) => {
        this.rawTrailers = raw;
      }) as never);
  }

  get method(): string {
    return this.headers[':method'] as string;
  }

  get url(): string | undefined {
    return this.headers[':path'] as string | undefined;
  }

  get httpVersion(): string {
    return '2.0';
  }

  get httpVersionMajor(): number {
    return 2;
  }

  get httpVersionMinor(): number {
    return 0;
  }

  /** The client or the edge has ended it; nothing can be written any more. */
  get destroyed(): boolean {
    return this.stream.destroyed || this.stream.closed;
  }

  /** Nothing more comes. */
  get complete(): boolean {
    return this.stream.readableEnded || this.destroyed;
  }

  /** It was broken off. Node then ends both of its sides as if they had come to their ends. */
  get aborted(): boolean {
    return this.stream.aborted || this.stream.rstCode !== 0;
  }

  get readableFlowing(): boolean | null {
    return this.stream.readableFlowing;
  }

  get readableEnded(): boolean {
    return this.stream.readableEnded;
  }

  get writableLength(): number {
    return this.stream.writableLength;
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  on(event: 'data' | 'end' | 'close', listener: (chunk: Buffer) => void): this {
    if (event !== 'close') this.stream.on(event, listener);
    else if (this.#onClose === null) this.#onClose = listener as Listener;
    else {
      this.#alsoOnClose ??= [];
      this.#alsoOnClose.push(listener as Listener);
    }
    return this;
  }

  off(event: 'data' | 'end' | 'close', listener: (chunk: Buffer) => void): this {
    if (event !== 'close') this.stream.off(event, listener);
    else if (this.#onClose === listener) this.#onClose = null;
    else this.#alsoOnClose = this.#alsoOnClose?.filter((other) => other !== listener) ?? null;
    return this;
  }

  once(event: 'drain', listener: Listener): this {
    this.stream.once(event, listener);
    return this;
  }

  #closed(): void {
    this.#connection.onStreamClosed(this.stream);
    // Whoever has not come to wait for the end, while a gate takes its time, has still to read what was asked for.
    if (this.#onClose === null) return;
    const more = this.#alsoOnClose;
    this.#onClose();
    if (more !== null) for (const listener of more) listener();
    // V8 makes one of the closures of Node's stream among its old objects, and with it all that the stream leads to outlives the collections that
    // cost little.
    this.#onClose = null;
    this.#alsoOnClose = null;
    this.headers = noHeaders;
    this.rawHeaders = none;
    this.rawTrailers = none;
  }

  /**
   * Sends the head of the final answer; `fields` are flat pairs, and its own from here on. `ends`: with nothing behind it, in one frame. Without
   * `trails` no trailer can come behind the body, whose last frame is the end.
   */
  sendHead(statusCode: number, fields: string[], ends: boolean, trails: boolean): void {
    if (this.destroyed) return;
    fields.push(':status', String(statusCode));
    this.stream.respond(fields as never, ends ? ending : trails ? trailing : plain);
    // They are written; the stream would keep them.
    fields.length = 0;
    this.headersSent = true;
    this.statusCode = statusCode;
  }

  /** Sends an interim answer. */
  sendInterim(statusCode: number, fields: readonly string[]): void {
    if (this.destroyed || this.headersSent) return;
    this.stream.additionalHeaders({ ...asObject(fields), ':status': statusCode });
  }

  /** False: there is more than the client takes at once. `done` is called when it was written. */
  write(chunk: Buffer, done?: (error?: Error | null) => void): boolean {
    const { stream } = this;
    if (!this.destroyed && !stream.writableEnded) return stream.write(chunk, done);
    done?.();
    return true;
  }

  end(chunk?: Buffer): void {
    const { stream } = this;
    if (this.destroyed || stream.writableEnded) return;
    if (chunk === undefined) stream.end();
    else stream.end(chunk);
  }

  /** Resets it with INTERNAL_ERROR (RFC 9113, section 7). Node's `close` would end it first, and an answer pass for complete. */
  breakOff(): void {
    this.stream.destroy(brokenOff);
  }

  /** To be called before the end of an answer whose head was sent with `trails`. */
  addTrailers(fields: readonly string[]): void {
    this.stream.once('wantTrailers', () => this.stream.sendTrailers(asObject(fields)));
  }
}

function asObject(fields: readonly string[]): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase();
    const before = all[name];
    all[name] = before === undefined ? fields[i + 1]! : [before, fields[i + 1]!].flat();
  }
  return all;
}

function ignore(): void {}
