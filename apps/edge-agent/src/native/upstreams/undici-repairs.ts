import { channel } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { AnswerHead } from './answer-head.ts';
import { ExchangeError } from './failure-cause.ts';
import { beginBody, endBody, lostWrite } from './read-on.ts';
import { RequestBody } from './request-body.ts';

/**
 * What undici 8's HTTP/1.1 client does otherwise than a proxy has to, put right in one place. Each repair is pinned by a test that
 * fails where another undici no longer meets what stands here (test/hostile/upstream-answers and upstream-breaks).
 */

/** undici takes a status of exactly 100 for a broken answer; anything else below 200 is an interim one to it. */
export const continueStatus = 100.5;

interface Parser {
  readonly socket: Socket;
  /** Null once it is given back. */
  readonly ptr: number | null;
  shouldKeepAlive: boolean;
  readonly llhttp: {
    llhttp_get_http_major(ptr: number | null): number;
    llhttp_set_lenient_keep_alive(ptr: number | null, on: 0 | 1): void;
  };
  headers: Buffer[] | AnswerHead;
  contentLength: number;
  statusText: string;
  execute(chunk: Buffer): void;
  onMessageBegin(): number;
  onStatus(bytes: Buffer): number;
  trackHeader(bytes: number): void;
  onHeadersComplete(statusCode: number, upgrade: boolean, shouldKeepAlive: boolean): number;
}

let parserKey: symbol | undefined;

/**
 * 1. `100 Continue` comes as `continueStatus` (RFC 9110, section 15.2: a client has to be able to parse it). 2. The head comes as
 * an `AnswerHead`. 3. Other versions than HTTP/1 are no answer, nor are RTSP and ICE, which the parser takes for HTTP. 4. An interim answer
 * that says `Connection: close` is not the last one. 5. A length counts without the space behind it. 6. A reason phrase that comes in parts
 * is one, and counts as part of the head. 7. Behind a write that failed an end is not the regular one of a body. To be called once undici has taken the socket.
 */
export function repairParser(socket: Socket): void {
  parserKey ??= Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'parser');
  const parser = parserKey === undefined ? null : (socket as never)[parserKey];
  if (parser !== null && parser !== undefined) repair(parser as Parser); // without one the connection broke meanwhile
}

const nothing: Buffer = Buffer.alloc(0);

function repair(parser: Parser): void {
  const { execute, onMessageBegin, onHeadersComplete, llhttp, socket } = parser;
  llhttp.llhttp_set_lenient_keep_alive(parser.ptr, 1);
  let chunk = nothing;
  /** Where in the chunk the next answer begins: at its start, or behind an interim one. */
  let at = 0;
  let interim = false;

  function refuse(): -1 {
    socket.destroy(new ExchangeError('upstream_head_invalid', 'the answer is no HTTP/1'));
    return -1;
  }

  socket.prependListener('end', () => {
    const lost = lostWrite(socket);
    if (lost === null) return;
    parser.shouldKeepAlive = true;
    socket.destroy(lost);
  });
  parser.execute = (data) => {
    chunk = data;
    at = 0;
    interim = false;
    execute.call(parser, data);
    chunk = nothing;
  };
  parser.onMessageBegin = () => {
    if (interim) at = chunk.indexOf('\r\n\r\n', at) + 4;
    while (chunk[at] === 0x0d || chunk[at] === 0x0a) at += 1;
    const other = chunk[at] === 0x52 || chunk[at] === 0x49; // R, I
    // Behind an interim answer it may be a byte of something else: chunks end anywhere.
    if (other && (at === 0 || /^(?:RTSP|ICE)\//.test(chunk.toString('latin1', at, at + 5)))) return refuse();
    return onMessageBegin.call(parser);
  };
  parser.onStatus = (bytes) => {
    parser.statusText += bytes.latin1Slice();
    parser.trackHeader(bytes.length);
    return 0;
  };
  parser.onHeadersComplete = (statusCode, upgrade, shouldKeepAlive) => {
    if (llhttp.llhttp_get_http_major(parser.ptr) !== 1) return refuse();
    interim = statusCode < 200;
    const head = new AnswerHead(parser.headers as Buffer[]);
    parser.headers = head;
    if (head.trimmed) parser.contentLength = head.contentLength;
    return onHeadersComplete.call(
      parser,
      statusCode === 100 ? continueStatus : statusCode,
      upgrade,
      shouldKeepAlive,
    );
  };
}

/**
 * undici takes a reset for the regular end of a body that only the end of the connection ends, so that a truncated answer would
 * look complete. Under another code it is an error like others. To be called before undici has taken the socket.
 */
export function keepResetsApart(socket: Socket): void {
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') error.code = resetCode;
  });
}

export const resetCode = 'UPSTREAM_RESET';

interface SendHeaders {
  request: { body: unknown; contentLength: number | null };
  headers: string;
  socket: Socket;
}

/**
 * undici holds the head of a request back until the first byte of its body. An upstream has to be able to refuse an upload
 * before it starts (RFC 9110, section 10.1.1), so the head goes out at once, with the expectation if there is one, and what
 * undici writes of it later is left out.
 */
function sendHeadAtOnce({ request, headers, socket }: SendHeaders): void {
  const { contentLength } = request;
  if (!(request.body instanceof RequestBody)) {
    endBody(socket);
    return;
  }
  beginBody(socket);
  const body = request.body;
  const write = socket.write as (this: Socket, data: unknown, ...rest: unknown[]) => boolean;
  const expect = body.expectsContinue ? 'expect: 100-continue\r\n' : '';
  const framing =
    contentLength === null ? 'transfer-encoding: chunked\r\n' : `content-length: ${contentLength}\r\n`;
  // Together with as much of the body as is there by the end of this turn.
  socket.cork();
  setImmediate(() => socket.uncork());
  write.call(socket, `${headers}${expect}${framing}\r\n`, 'latin1');

  let begun = false;
  // undici knows no trailers. A body whose length was told has none (RFC 9112, section 7.1.2).
  if (contentLength === null) body.onTrailer = () => begun && writeTrailer(body.trailer!, socket);

  function leaveOutHead(data: unknown): boolean {
    socket.write = write as Socket['write'];
    if (contentLength !== null) return !socket.writableNeedDrain;
    if (data !== `${headers}${framing}`)
      return write.call(socket, `0\r\n${linesOf(body.trailer)}\r\n`, 'latin1'); // a body without a byte
    begun = true;
    // The empty line of the head stands before the size of the first chunk.
    socket.write = ((size: string, encoding: BufferEncoding) => {
      socket.write = write as Socket['write'];
      return write.call(socket, size.slice(2), encoding);
    }) as Socket['write'];
    return true;
  }
  socket.write = leaveOutHead as Socket['write'];
}

/** Writes a trailer with the last chunk, which undici is about to write. */
function writeTrailer(trailer: string[], socket: Socket): void {
  const write = socket.write as (this: Socket, data: unknown, ...rest: unknown[]) => boolean;
  socket.write = ((data: string, encoding: BufferEncoding) => {
    socket.write = write as Socket['write'];
    return write.call(socket, `${data.slice(0, -2)}${linesOf(trailer)}\r\n`, encoding);
  }) as Socket['write'];
}

function linesOf(trailer: string[] | null): string {
  let lines = '';
  if (trailer !== null)
    for (let i = 0; i < trailer.length; i += 2) lines += `${trailer[i]}: ${trailer[i + 1]}\r\n`;
  return lines;
}

channel('undici:client:sendHeaders').subscribe((message) => sendHeadAtOnce(message as SendHeaders));
