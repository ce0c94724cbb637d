import { type ClientHttp2Session, connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { ExchangeError } from './failure-cause.ts';
import { Http2Exchange, type StreamOwner } from './http2-exchange.ts';
import type { CarriedRequest, CarrierHandler } from './request-carrier.ts';
import { keepResetsApart } from './undici-repairs.ts';

/** Of each stream and of the session as a whole: what an upstream may send ahead of what is read. */
const streamWindowBytes = 262_144;
const sessionWindowBytes = 4_194_304;
/** Until the upstream has said how many streams it takes, and where it takes any number. */
const usualStreams = 100;
const mostStreams = 1_000;
/** Without a request for so long, a session ends. */
const idleMs = 60_000;
const mostFields = 4_096;
/** What nghttp2 sends of a head; above the largest `limits.headBytes`. */
const mostSentListBytes = 1_048_576;

interface Queued {
  request: CarriedRequest;
  handler: CarrierHandler;
  owner: StreamOwner;
}

export interface Http2SessionOptions {
  secure: boolean;
  /** The name that it proved, where the upstream has none of its own. */
  servername: string;
  connect(callback: (error: Error | null, socket: Socket | null) => void): void;
  /** It takes no more streams. Those under way go on, until `onClosed`. */
  onEnding(session: Http2Session): void;
  onClosed(session: Http2Session): void;
  /** Another number of streams, or none, is open. */
  onRoom(session: Http2Session): void;
}

/** One connection of HTTP/2 to an upstream, with many exchanges at a time. */
export class Http2Session {
  readonly servername: string;
  /** Where it leads to, once it is connected. */
  address: string | undefined = undefined;
  /** Exchanges that it has, those included that wait for it to connect. */
  streams = 0;
  /** An exchange was completed on it. */
  used = false;
  ending = false;
  error: Error | null = null;
  readonly #options: Http2SessionOptions;
  #session: ClientHttp2Session | null = null;
  #queued: Queued[] = [];
  #most = usualStreams;
  #idle: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: Http2SessionOptions) {
    this.#options = options;
    this.servername = options.servername;
    options.connect((error, socket) => {
      if (socket === null) this.#fail(error!);
      else if (this.#closed) socket.destroy();
      else this.#begin(socket);
    });
  }

  get hasRoom(): boolean {
    return !this.ending && this.streams < this.#most;
  }

  /** Takes a place for an exchange that is about to come. */
  enter(): void {
    this.streams += 1;
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
  }

  /** Gives the place back. */
  leave(): void {
    this.streams -= 1;
    if (this.streams === 0) {
      if (this.ending) this.#session?.close();
      else this.#idle = setTimeout(() => this.end(), idleMs).unref();
    }
    this.#options.onRoom(this);
  }

  carry(request: CarriedRequest, handler: CarrierHandler, owner: StreamOwner): void {
    if (this.error !== null) handler.onResponseError!(null as never, this.error);
    else if (this.#session === null) this.#queued.push({ request, handler, owner });
    else new Http2Exchange(request, handler, owner).start(this.#session);
  }

  /** Takes no more; what is under way ends as it would have. */
  end(): void {
    if (this.ending) return;
    this.ending = true;
    this.#options.onEnding(this);
    if (this.streams === 0) this.#session?.close();
  }

  /** Breaks everything off. */
  destroy(): void {
    this.#fail(new ExchangeError('upstream_closed', 'the edge ended the connection'));
  }

  #begin(socket: Socket): void {
    keepResetsApart(socket);
    this.address = socket.remoteAddress;
    const session = connect(this.#options.secure ? 'https://upstream' : 'http://upstream', {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: streamWindowBytes },
      maxHeaderListPairs: mostFields,
      maxSendHeaderBlockLength: mostSentListBytes,
      maxSessionMemory: 100,
      strictFieldWhitespaceValidation: false,
      // Node would not send fields that a client repeats; what they mean is the upstream's to say, as over HTTP/1.1.
      strictSingleValueFields: false,
    } as Parameters<typeof connect>[1]);
    session.on('error', (error) => {
      this.error ??= error;
    });
    session.on('goaway', () => this.end());
    session.on('close', () => this.#fail(new ExchangeError('upstream_closed')));
    session.on('remoteSettings', ({ maxConcurrentStreams = mostStreams }) => {
      this.#most = Math.min(maxConcurrentStreams, mostStreams);
      this.#options.onRoom(this);
    });
    session.once('connect', () => {
      session.setLocalWindowSize(sessionWindowBytes);
      this.#session = session;
      const queued = this.#queued;
      this.#queued = [];
      for (const { request, handler, owner } of queued) this.carry(request, handler, owner);
    });
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.error ??= error;
    if (this.#idle !== null) clearTimeout(this.#idle);
    if (!this.ending) {
      this.ending = true;
      this.#options.onEnding(this);
    }
    const queued = this.#queued;
    this.#queued = [];
    for (const { handler } of queued) handler.onResponseError!(null as never, this.error);
    this.#session?.destroy(undefined, constants.NGHTTP2_NO_ERROR);
    this.#options.onClosed(this);
  }
}
