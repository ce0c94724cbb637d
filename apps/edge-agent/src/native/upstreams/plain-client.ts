import type { Socket } from 'node:net';
import type { Dispatcher } from 'undici';
import { AnswerHead } from './answer-head.ts';
import { AnswerParser, type BodyKind } from './answer-parser.ts';
import { ExchangeError } from './failure-cause.ts';
import { PlainExchange, type PlainRequest } from './plain-exchange.ts';
import { lostWrite } from './read-on.ts';
import { type Reading, reader, type Slab, sharedBytes, type TakeChunk, takeSlab } from './shared-read.ts';

/** How long a connection is kept that its upstream says nothing of, and the most that one may ask for. */
const keepMs = 4_000;
const mostKeepMs = 600_000;
/** So much sooner than the upstream: a request may be on its way when it closes. */
const keepMarginMs = 2_000;
const sweepMs = 250;
/** From so many bytes on a body is counted instead of parsed. */
const leastCounted = 16_384;
const none: string[] = [];

/** What of undici's client the pool and its requests use. */
export interface UpstreamClient {
  dispatch(options: PlainRequest, handler: Dispatcher.DispatchHandler): void;
  readonly destroyed: boolean;
  /** Ends what is under way with an error. */
  destroy(): Promise<void>;
}

export interface PlainClientOptions {
  connect(servername: null, callback: (error: Error | null, socket: Socket | null) => void): void;
  mostHeadBytes: number;
  /** The connection is gone, or has become a tunnel; the next request makes a new one. */
  onDisconnect(): void;
}

/** Clients with a connection, looked at now and then: a timer for each exchange would cost more than the exchange's own share. */
const connected = new Set<PlainClient>();
let sweep: NodeJS.Timeout | null = null;

/**
 * One connection to an upstream that speaks HTTP/1.1 in the clear, over Node's own parser; an exchange at a time. It tells a handler what undici's
 * client would, at less than half of the cost; over TLS undici does it.
 */
export class PlainClient implements UpstreamClient {
  readonly #options: PlainClientOptions;
  #socket: Socket | null = null;
  #parser: AnswerParser | null = null;
  #exchange: PlainExchange | null = null;
  /** What is still to come of a body that is counted. */
  #left = 0;
  /** The trailer of an answer that has just come to its end. */
  #completed: string[] | null = null;
  destroyed = false;
  /** When the idle connection is to be closed. */
  #keepUntil = 0;
  #keptForMs = keepMs;

  constructor(options: PlainClientOptions) {
    this.#options = options;
  }

  dispatch(request: PlainRequest, handler: Dispatcher.DispatchHandler): void {
    const exchange = new PlainExchange(this, request, handler);
    this.#exchange = exchange;
    if (this.#socket !== null) exchange.start(this.#socket);
    else this.#connect(exchange);
  }

  #connect(exchange: PlainExchange): void {
    this.#options.connect(null, (error, socket) => {
      if (socket === null) {
        if (this.#exchange === exchange) this.fail(exchange, error);
        return;
      }
      if (this.destroyed || this.#exchange !== exchange) {
        socket.on('error', () => {}).destroy();
        return;
      }
      this.#adopt(socket);
      exchange.start(socket);
    });
  }

  #adopt(socket: Socket): void {
    this.#socket = socket;
    this.#parser = new AnswerParser(this, this.#options.mostHeadBytes);
    (socket as Reading)[reader] = this.#onRead;
    socket
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('error', this.#onError)
      .on('close', this.#onClose);
    connected.add(this);
    sweep ??= setInterval(lookAtAll, sweepMs).unref();
  }

  /** Lets go of the connection. */
  #leave(): Socket | null {
    const socket = this.#socket;
    if (socket === null) return null;
    this.#socket = null;
    (socket as Reading)[reader] = undefined;
    this.#parser!.close();
    this.#parser = null;
    this.#left = 0;
    connected.delete(this);
    socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('error', this.#onError)
      .off('close', this.#onClose);
    socket.on('error', ignore);
    return socket;
  }

  #disconnect(): void {
    const socket = this.#leave();
    if (socket === null) return;
    socket.destroy();
    this.#options.onDisconnect();
  }

  /** Ends an exchange with an error, and the connection with it. */
  fail(exchange: PlainExchange, error: unknown): void {
    if (this.#exchange !== exchange) return;
    this.#exchange = null;
    this.#leave()?.destroy();
    exchange.fail(error);
    this.#options.onDisconnect();
  }

  destroy(): Promise<void> {
    this.destroyed = true;
    if (this.#exchange !== null)
      this.fail(this.#exchange, new ExchangeError('upstream_closed', 'the client was closed'));
    else this.#disconnect();
    return Promise.resolve();
  }

  #onData = (chunk: Buffer): void => {
    this.#onRead(chunk, null);
  };

  #onRead: TakeChunk = (chunk, slab) => {
    let alone = true;
    try {
      if (this.#left > 0) this.#takeBody(chunk, slab);
      else this.#parse(chunk);
    } catch (error) {
      if (this.#completed === null) this.#broke(error);
      else alone = false;
    }
    // Only now: the next exchange must not be given what came behind the answer to this one.
    if (this.#completed !== null) this.#complete(this.#completed, alone);
    if (this.#left > 0) return takeSlab().bytes;
    return slab === null ? undefined : sharedBytes;
  };

  #parse(chunk: Buffer): void {
    const read = this.#parser!.execute(chunk);
    if (this.#exchange?.switched) this.#handOver(this.#exchange, Buffer.from(chunk.subarray(read)));
    else if (this.#left > 0 && read < chunk.length) this.#takeBody(chunk.subarray(read), null);
  }

  /** Of a body whose length is known there is nothing to parse. */
  #takeBody(chunk: Buffer, slab: Slab | null): void {
    const exchange = this.#exchange!;
    const part = chunk.length > this.#left ? chunk.subarray(0, this.#left) : chunk;
    this.#left -= part.length;
    if (this.#left === 0) this.#completed = none;
    if (slab !== null) exchange.onBody(part, slab.release);
    else {
      const own = takeSlab();
      for (let at = 0; at < part.length; at += own.bytes.length) {
        const piece = part.subarray(at, at + own.bytes.length);
        if (at > 0) exchange.onBody(Buffer.from(piece));
        else exchange.onBody(own.bytes.subarray(0, part.copy(own.bytes)), own.release);
      }
    }
    if (part.length < chunk.length) throw new ExchangeError('upstream_body_invalid');
  }

  #onEnd = (): void => {
    try {
      const lost = lostWrite(this.#socket!);
      if (lost !== null) throw lost;
      if (this.#left > 0) throw new ExchangeError('upstream_closed');
      this.#parser!.finish();
      if (this.#completed !== null) this.#complete(this.#completed, false);
      else if (this.#exchange !== null) throw new ExchangeError('upstream_closed');
      else this.#disconnect();
    } catch (error) {
      this.#broke(error);
    }
  };

  #onError = (error: Error): void => this.#broke(error);

  #onClose = (): void => this.#broke(new ExchangeError('upstream_closed'));

  #broke(error: unknown): void {
    if (this.#exchange !== null) this.fail(this.#exchange, error);
    else this.#disconnect();
  }

  onBegin(): void {
    // An answer to nothing.
    if (this.#exchange === null || this.#completed !== null) throw new ExchangeError('upstream_head_invalid');
    this.#exchange.handler.onResponseStarted?.();
  }

  onHead(
    statusCode: number,
    statusMessage: string,
    pairs: string[],
    keepAlive: boolean,
    upgrade: boolean,
  ): BodyKind {
    const exchange = this.#exchange!;
    const kind = exchange.onHead(statusCode, statusMessage, new AnswerHead(pairs), keepAlive, upgrade);
    if (kind !== 0 || exchange.bodyBytes < leastCounted || this.#exchange !== exchange) return kind;
    this.#left = exchange.bodyBytes;
    return 2;
  }

  onBody(chunk: Buffer): void {
    this.#exchange?.onBody(chunk);
  }

  onComplete(trailer: string[]): void {
    this.#completed = trailer;
  }

  #complete(trailer: string[], alone: boolean): void {
    const exchange = this.#exchange;
    this.#completed = null;
    if (exchange === null) return;
    this.#exchange = null;
    const keeps = alone && exchange.keeps && !exchange.writing && this.#keeps(exchange.head!);
    const socket = keeps ? null : this.#leave();
    try {
      exchange.complete(trailer);
    } finally {
      if (!keeps) {
        socket?.destroy();
        this.#options.onDisconnect();
      }
    }
  }

  /** For how long a connection is kept is the upstream's to say. False: it has no time for another request. */
  #keeps({ pairs }: AnswerHead): boolean {
    let ms = keepMs;
    for (let i = 0; i < pairs.length; i += 2) {
      const name = pairs[i]!;
      if (name.length !== 10 || name.toLowerCase() !== 'keep-alive') continue;
      const seconds = /timeout=(\d+)/i.exec(pairs[i + 1]!)?.[1];
      if (seconds !== undefined) ms = Math.min(Number(seconds) * 1_000 - keepMarginMs, mostKeepMs);
    }
    this.#keptForMs = ms;
    this.#keepUntil = 0;
    return ms > 0;
  }

  /** Hands the connection over, with what was read of the other protocol. */
  #handOver(exchange: PlainExchange, rest: Buffer): void {
    this.#exchange = null;
    const socket = this.#leave()!;
    socket.off('error', ignore);
    socket.pause();
    if (rest.length > 0) socket.unshift(rest);
    exchange.switch(socket);
    this.#options.onDisconnect();
  }

  /** Throws nothing: the others are still to be looked at. */
  look(now: number): void {
    try {
      this.#look(now);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #giveUp(error: unknown): void {
    try {
      this.#broke(error);
    } catch {
      connected.delete(this);
    }
  }

  #look(now: number): void {
    const exchange = this.#exchange;
    if (exchange === null) {
      if (this.#keepUntil === 0) this.#keepUntil = now + this.#keptForMs;
      else if (now >= this.#keepUntil) this.#disconnect();
      return;
    }
    const error = exchange.overdue(now);
    if (error !== null) this.fail(exchange, error);
  }
}

function lookAtAll(): void {
  const now = Date.now();
  for (const client of connected) client.look(now);
  if (connected.size > 0 || sweep === null) return;
  clearInterval(sweep);
  sweep = null;
}

function ignore(): void {}
