import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { createProblem, problemContentType, speaksAnother } from '@lockstep/contract';
import { breakOff } from './break-off.ts';
import { refusalOfParser } from './http1-parser.ts';
import { linger, lingerMs } from './linger.ts';
import { requestIdOf } from './request-id.ts';
import { type RefusalReason, requestRefusals } from './request-refusal.ts';
import { sendProblem } from './send-problem.ts';

const { STATUS_CODES } = process.getBuiltinModule('node:http');

/** So many requests in one packet are not what a client that waits for answers sends. */
const mostQueued = 10_000;
/** Read beyond the request that is being answered, so that a client that goes is noticed; then no more is read. */
const mostReadAhead = 64;
/** Of a connection that is not read, some more is read now and then, for the same reason, up to so many requests. */
const mostLookedAt = 4_000;

export interface Http1Handlers {
  /** One request at a time of each connection. What it throws ends the exchange with a 500. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Takes the connection over; null where nothing can be upgraded. */
  upgrade: ((request: IncomingMessage, socket: Socket, head: Buffer) => void) | null;
  /** Whether a request may upgrade its connection; left out: any. One that may not is handled as if it had not asked. */
  mayUpgrade?(request: IncomingMessage): boolean;
  /** The edge answered by itself, outside of `handle`. */
  onRefused(reason: RefusalReason, detail?: string): void;
  /** A connection was ended before its time: idle, or broken off in the middle of an answer. */
  onCut(reason: 'idle' | 'parse_error'): void;
  onException(place: string, error: unknown): void;
}

/** One connection of HTTP/1, whose requests are answered one after the other. */
export class Http1Connection {
  readonly #socket: Socket & { destroySoon(): void };
  readonly #handlers: Http1Handlers;
  readonly #queue: { request: IncomingMessage; response: ServerResponse }[] = [];
  #current: { request: IncomingMessage; response: ServerResponse } | null = null;
  /** The last answer has been sent, or there is to be none. */
  #closing = false;
  /** What comes after the answers under way cannot be read any more. */
  #refusal: RefusalReason | null = null;
  #holding = false;
  #seen = false;
  /** Bytes came behind a request that was to be the last. */
  #overrun = false;
  #closed: NodeJS.Timeout | undefined;
  /** It is answered, and its body is still being read. */
  #unread: IncomingMessage | null = null;

  readonly #held: Set<Http1Connection>;

  constructor(socket: Socket, handlers: Http1Handlers, held: Set<Http1Connection>) {
    this.#held = held;
    socket.on('close', () => {
      held.delete(this);
      clearTimeout(this.#closed);
    });
    this.#socket = socket as Socket & { destroySoon(): void };
    this.#handlers = handlers;
    // Node ends a connection so after its last answer.
    this.#socket.destroySoon = () => {
      if (this.#isLast()) this.#closeNow();
      else this.#close();
    };
    // Node takes its own listener away after an error, and hands a connection over without any.
    socket.on('error', () => socket.destroy());
    socket.on('drain', () => {
      if (this.#holding) this.#pauseSoon();
    });
  }

  get idle(): boolean {
    return this.#current === null && !this.#closing && this.#refusal === null;
  }

  accept(request: IncomingMessage, response: ServerResponse): void {
    if (this.#closing || this.#refusal !== null) return;
    // HTTP/1.0, and what else a connection begins with: where another protocol may be expected, and the look costs little. Methods that
    // only RTSP has are known by name (`readRequest`).
    if ((!this.#seen || request.httpVersion !== '1.1') && speaksAnother(request)) {
      this.refuseNext('parse_error');
      return;
    }
    this.#seen = true;
    if (this.#current === null) {
      this.#run(request, response);
      return;
    }
    this.#queue.push({ request, response });
    if (this.#queue.length > mostReadAhead) this.#hold();
    if (this.#queue.length > mostQueued) this.#socket.destroy();
  }

  #run(request: IncomingMessage, response: ServerResponse): void {
    this.#current = { request, response };
    response.on('close', this.#next);
    try {
      this.#handlers.handle(request, response);
    } catch (error) {
      this.#handlers.onException('request', error);
      if (response.headersSent) response.destroy();
      else this.#answer(request, response, 'failed');
    }
  }

  #next = (): void => {
    const { request } = this.#current!;
    this.#unread = request.complete ? null : request;
    this.#current = null;
    if (this.#closing || this.#socket.destroyed) return;
    const next = this.#queue.shift();
    if (next !== undefined) this.#run(next.request, next.response);
    else if (this.#refusal !== null) this.#refuse(this.#refusal);
    else if (this.#holding) {
      this.#holding = false;
      this.#held.delete(this);
      this.#socket.resume();
    }
  };

  /** Reads no more until what has been read is answered. Later, for Node reads on by itself when it has parsed a request. */
  #hold(): void {
    if (this.#holding) return;
    this.#holding = true;
    this.#held.add(this);
    this.#pauseSoon();
  }

  look(): void {
    if (this.#closing || this.#queue.length > mostLookedAt) return;
    this.#socket.resume();
    setTimeout(() => this.#pauseSoon(), 0);
  }

  #pauseSoon(): void {
    setImmediate(() => {
      if (this.#holding && !this.#closing) this.#socket.pause();
    });
  }

  /** Once what is under way is answered, this answers in place of what came after it, and ends the connection. */
  refuseNext(reason: RefusalReason): void {
    if (this.#closing || this.#refusal !== null) return;
    if (this.#current === null) this.#refuse(reason);
    else this.#refusal = reason;
  }

  /** Node has let go of the connection: an answer under way has to be told here when there is room for more of it. */
  refuseConnect(): void {
    // What comes from here on is read to nowhere.
    this.#socket.resume();
    const current = this.#current?.response;
    if (current !== undefined) this.#socket.on('drain', () => current.writableEnded || current.emit('drain'));
    this.refuseNext('unknown_method');
  }

  onError(error: NodeJS.ErrnoException): void {
    const reason = refusalOfParser(error);
    if (reason === null) {
      this.#socket.destroy();
      return;
    }
    if (this.#closing || this.#refusal !== null) return;
    if (!this.#socket.writable) {
      this.#socket.destroy();
      return;
    }
    // RFC 9112, section 9.6: what follows the last request is ignored.
    if (error.code === 'HPE_CLOSED_CONNECTION') {
      this.#overrun = true;
      if (this.#current === null) this.#close();
      return;
    }
    if (reason === 'head_timeout' && this.#current === null && this.#socket.bytesRead === 0) {
      this.#handlers.onCut('idle');
      this.#socket.destroy();
      return;
    }
    const last = this.#queue.at(-1) ?? this.#current;
    if ((last?.request ?? this.#unread)?.complete !== false) {
      this.refuseNext(reason);
      return;
    }
    // The error is in the body of the last request that was read.
    if (last === null) {
      this.#handlers.onCut('parse_error');
      this.#close();
    } else if (this.#queue.length > 0) {
      this.#queue.pop();
      this.refuseNext(reason);
    } else if (last.response.headersSent) {
      this.#handlers.onCut('parse_error');
      this.#stop();
      breakOff(last.response);
    } else {
      last.response.setHeader('connection', 'close');
      this.#answer(last.request, last.response, reason);
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse, reason: RefusalReason): void {
    const { status, code, detail } = requestRefusals[reason];
    this.#handlers.onRefused(reason);
    sendProblem(response, status, code, detail, requestIdOf(request.headers['x-request-id']));
  }

  /** Answers where there is no request that could be answered. */
  #refuse(reason: RefusalReason): void {
    this.#handlers.onRefused(reason);
    const { status, code, detail } = requestRefusals[reason];
    const instance = requestIdOf(undefined);
    const body = JSON.stringify(createProblem(code, status, detail, { instance }));
    const fields = {
      date: new Date().toUTCString(),
      'content-type': problemContentType,
      'content-length': Buffer.byteLength(body),
      'x-request-id': instance,
      connection: 'close',
    };
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
    this.#close();
  }

  /** The client has said that it sends nothing behind the request that is answered, and all of that was read. */
  #isLast(): boolean {
    const current = this.#current;
    return (
      current !== null &&
      !this.#closing &&
      !this.#overrun &&
      this.#refusal === null &&
      this.#queue.length === 0 &&
      current.request.complete &&
      !current.response.shouldKeepAlive
    );
  }

  /** There is nothing to linger for: the connection is gone once the answer is written. */
  #closeNow(): void {
    this.#stop();
    const socket = this.#socket;
    Reflect.deleteProperty(socket, 'destroySoon');
    socket.destroySoon();
    // The end of TLS may find no room behind the answer.
    this.#closed = setTimeout(() => socket.destroy(), lingerMs);
  }

  #close(): void {
    if (this.#closing) return;
    this.#stop();
    linger(this.#socket);
  }

  #stop(): void {
    this.#closing = true;
    this.#queue.length = 0;
    // What Node pauses by when it has too much to write.
    Object.assign(this.#socket, { _paused: false });
  }
}
