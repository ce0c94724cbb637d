import { createRequire } from 'node:module';
import { ExchangeError } from './failure-cause.ts';

/** Node's own parser, as its HTTP client and server use it. Not public; Node is pinned. */
interface NodeParser {
  initialize(type: number, resource: object, mostHeadBytes: number, lenience: number): void;
  /** How many bytes were read; or what is wrong with them. */
  execute(chunk: Buffer): number | ParserError;
  finish(): ParserError | undefined;
  close(): void;
  [callback: number]: unknown;
}

interface ParserError extends Error {
  code?: string;
  reason?: string;
}

const { HTTPParser } = createRequire(import.meta.url)('node:_http_common') as {
  HTTPParser: { new (): NodeParser } & Record<string, number>;
};
const { RESPONSE, kOnMessageBegin, kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete } =
  HTTPParser as Record<string, number>;
/** An interim answer that says `Connection: close` is not the last one. */
const lenience = HTTPParser.kLenientKeepAlive!;

/** What a parser tells of. What is thrown here ends the parsing, and comes out of `execute`. */
export interface AnswerEvents {
  /** The first byte of an answer, of each interim one too. */
  onBegin(): void;
  onHead(
    statusCode: number,
    statusMessage: string,
    pairs: string[],
    keepAlive: boolean,
    upgrade: boolean,
  ): BodyKind;
  onBody(chunk: Buffer): void;
  /** `trailer`: flat pairs. */
  onComplete(trailer: string[]): void;
}

/** 0: as the head says; 1: none, whatever it says; 2: what follows is not the parser's, a body that is counted or another protocol. */
export type BodyKind = 0 | 1 | 2;

const none: string[] = [];

/** Reads the answers of one HTTP/1.1 connection. */
export class AnswerParser {
  readonly #parser: NodeParser;
  readonly #events: AnswerEvents;
  #chunk: Buffer | null = null;
  /** Where in the chunk the next answer begins: at its start, or behind an interim one. */
  #at = 0;
  #interim = false;
  /** What of a head, or of a trailer, came before its end: the parser tells of so many fields at a time. */
  #fields: string[] = none;
  #inHead = true;
  /** The body is not the parser's. */
  #left = false;
  #thrown: unknown = null;

  constructor(events: AnswerEvents, mostHeadBytes: number) {
    this.#events = events;
    const parser = new HTTPParser();
    parser.initialize(RESPONSE!, {}, mostHeadBytes, lenience);
    parser[kOnMessageBegin!] = this.#onMessageBegin;
    parser[kOnHeaders!] = this.#onHeaders;
    parser[kOnHeadersComplete!] = this.#onHeadersComplete;
    parser[kOnBody!] = this.#onBody;
    parser[kOnMessageComplete!] = this.#onMessageComplete;
    this.#parser = parser;
  }

  /** How many bytes were read: all, save where what follows is not the parser's. Throws for what is no answer. `chunk` may be used again afterwards. */
  execute(chunk: Buffer): number {
    this.#chunk = chunk;
    this.#at = 0;
    this.#interim = false;
    const read = this.#parser.execute(chunk);
    this.#chunk = null;
    if (this.#thrown !== null) throw this.#thrown;
    if (typeof read !== 'number') throw this.#error(read);
    return read;
  }

  /** The connection has ended. Throws where an answer has not. */
  finish(): void {
    const error = this.#parser.finish();
    if (this.#thrown !== null) throw this.#thrown;
    if (error !== undefined) throw new ExchangeError('upstream_closed');
  }

  /** Later, for it may be at work. */
  close(): void {
    setImmediate(() => this.#parser.close());
  }

  #error({ code, reason, message }: ParserError): ExchangeError {
    if (code === 'HPE_HEADER_OVERFLOW')
      return new ExchangeError('upstream_head_too_large', reason ?? message);
    if (code === 'HPE_INVALID_EOF_STATE') return new ExchangeError('upstream_closed', reason ?? message);
    const cause = this.#inHead ? 'upstream_head_invalid' : 'upstream_body_invalid';
    return new ExchangeError(cause, reason ?? message);
  }

  /** What a callback throws must not pass through the parser. Its next call is told no more. */
  #stop(error: unknown): void {
    this.#thrown ??= error;
  }

  #onMessageBegin = (): void => {
    if (this.#thrown !== null) return;
    this.#inHead = true;
    const chunk = this.#chunk;
    if (chunk !== null) {
      if (this.#interim) this.#at = chunk.indexOf('\r\n\r\n', this.#at) + 4;
      while (chunk[this.#at] === 0x0d || chunk[this.#at] === 0x0a) this.#at += 1;
      // RTSP and ICE, which the parser takes for HTTP. Behind an interim answer it may be a byte of something else: chunks end anywhere.
      const other = chunk[this.#at] === 0x52 || chunk[this.#at] === 0x49; // R, I
      if (
        other &&
        (this.#at === 0 || /^(?:RTSP|ICE)\//.test(chunk.toString('latin1', this.#at, this.#at + 5)))
      ) {
        this.#stop(new ExchangeError('upstream_head_invalid', 'the answer is no HTTP/1'));
        return;
      }
    }
    try {
      this.#events.onBegin();
    } catch (error) {
      this.#stop(error);
    }
  };

  #onHeaders = (pairs: string[]): void => {
    this.#fields = this.#fields === none ? pairs : this.#fields.concat(pairs);
  };

  #onHeadersComplete = (
    major: number,
    _minor: number,
    pairs: string[] | undefined,
    _method: unknown,
    _url: unknown,
    statusCode: number,
    statusMessage: string,
    upgrade: boolean,
    keepAlive: boolean,
  ): BodyKind => {
    if (this.#thrown !== null) return 1;
    const all =
      pairs === undefined ? this.#takeFields() : this.#fields === none ? pairs : this.#fields.concat(pairs);
    this.#fields = none;
    this.#interim = statusCode < 200;
    this.#inHead = false;
    if (major !== 1) {
      this.#stop(new ExchangeError('upstream_head_invalid', 'the answer is no HTTP/1'));
      return 1;
    }
    try {
      const kind = this.#events.onHead(statusCode, statusMessage, all, keepAlive, upgrade);
      this.#left = kind === 2;
      return kind;
    } catch (error) {
      this.#stop(error);
      return 1;
    }
  };

  #onBody = (chunk: Buffer): void => {
    if (this.#thrown !== null) return;
    try {
      this.#events.onBody(chunk);
    } catch (error) {
      this.#stop(error);
    }
  };

  #onMessageComplete = (): void => {
    if (this.#thrown !== null || this.#interim) return;
    this.#inHead = true;
    if (this.#left) {
      this.#left = false;
      return;
    }
    const trailer = this.#takeFields();
    try {
      this.#events.onComplete(trailer);
    } catch (error) {
      this.#stop(error);
    }
  };

  #takeFields(): string[] {
    const fields = this.#fields;
    this.#fields = none;
    return fields;
  }
}
