import { randomUUID } from 'node:crypto';
import type { Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { AppError, errorCodes, problemContentType } from '@lockstep/contract';
import { invalidField } from '../validation/invalid-field.ts';
import { problemOf } from './problem-answers.ts';
import { notHttp, otherVersion, unknownCoding } from './read-head.ts';

const { METHODS, STATUS_CODES } = process.getBuiltinModule('node:http');

/** How long a client may take to read the answer before the connection is reset. */
const lingerMs = 1_000;

interface ParserError extends Error {
  code?: string | undefined;
  reason?: string | undefined;
  /** The bytes that came last, and how far they were good. */
  rawPacket?: unknown;
  bytesParsed?: number | undefined;
}

export interface Unreadable {
  /** Listens to what a server tells of its requests besides the requests themselves. */
  attach(server: Server): void;
  /** For the server's `clientError`. */
  answer(error: ParserError, socket: Duplex): void;
}

/**
 * Answers what no request came of, as problem documents too. Never into an answer that is under way: what a client reads as complete
 * has to be complete (RFC 9112, section 9.3.2), so such a connection is closed after that answer.
 */
export function createUnreadable(onAnswered: (error: AppError, requestId: string) => void): Unreadable {
  const latest = new WeakMap<Duplex, ServerResponse>();
  const over = new WeakSet<Duplex>();

  function answerOn(socket: Duplex, error: AppError): void {
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const id = randomUUID();
    onAnswered(error, id);
    socket.end(render(error, id));
    // What still arrives is read and dropped: closing on unread bytes would reset the connection under the answer.
    socket.resume();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }

  return {
    attach(server) {
      server.on('request', (request, response) => latest.set(request.socket, response));
      // Node gives the bare socket away with this event, and closes it without a word where nobody listens.
      server.on('connect', (_request, socket) => {
        socket.on('error', () => socket.destroy());
        answerOn(
          socket,
          new AppError('not_implemented', 'this server is no proxy: CONNECT is not known here'),
        );
      });
    },
    answer(error, socket) {
      if (over.has(socket)) return; // the same bytes once more
      over.add(socket);
      const appError = explain(error);
      const response = latest.get(socket);
      const free = response === undefined || response.writableFinished;
      if (error.code === 'ECONNRESET') socket.destroy();
      else if (free) answerOn(socket, appError);
      else if (response.req.complete)
        response.once('close', () =>
          response.writableFinished ? answerOn(socket, appError) : socket.destroy(),
        );
      // Its own body broke off: only an answer that has not begun, and has no other before it, can still say so.
      else if (response.socket === socket && !response.headersSent) answerOn(socket, appError);
      else socket.destroy();
    },
  };
}

function explain({ code, reason, rawPacket, bytesParsed = 0 }: ParserError): AppError {
  const text = Buffer.isBuffer(rawPacket) ? rawPacket.toString('latin1') : '';
  // From the line that the fault is in: other requests may stand before it.
  const start = text.slice(bytesParsed === 0 ? 0 : text.lastIndexOf('\n', bytesParsed - 1) + 1);
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AppError('request_timeout', 'the request did not arrive whole in time');
    case 'HPE_HEADER_OVERFLOW':
      return /^[A-Z]+ [^ ]{8192}/.test(start)
        ? new AppError('uri_too_long', 'the address is far longer than is read')
        : new AppError('headers_too_large', 'the fields are far larger than is read');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new AppError('payload_too_large', 'the chunks have larger extensions than are read');
    case 'HPE_INVALID_METHOD':
      if (!METHODS.includes(/^([\w!#$%&'*+.^`|~-]+) \S+ HTTP\/1\.[01]\r\n/.exec(start)?.[1] ?? 'GET'))
        return unknownMethod();
      break;
    case 'HPE_INVALID_VERSION':
      if (reason === 'Invalid HTTP version') return otherVersion();
      break;
    case 'HPE_INVALID_CONSTANT':
      if (reason === 'Invalid method for HTTP/x.x request') return unknownMethod(); // those of RTSP
      break;
    case 'HPE_INVALID_TRANSFER_ENCODING':
      if (!reason?.includes('Content-Length')) return aboutCodings(text);
      return invalidField('Content-Length', 'is there although Transfer-Encoding is; leave one of them out');
    case 'HPE_INVALID_CONTENT_LENGTH':
    case 'HPE_UNEXPECTED_CONTENT_LENGTH':
      return invalidField('Content-Length', 'has to be one number of bytes, and without Transfer-Encoding');
  }
  return notHttp(code?.includes('URL') ? 'path' : 'head');
}

function unknownMethod(): AppError {
  return new AppError('not_implemented', 'the method is not known here');
}

/** Of codings that do not end with chunked: 501 for those that are not known (RFC 9112, section 6.1), 400 where there are no others. */
function aboutCodings(head: string): AppError {
  const fields = head.matchAll(/\r\ntransfer-encoding:(.*)/gi);
  const codings = [...fields].flatMap(([, field = '']) => field.toLowerCase().split(','));
  const known = codings.length > 0 && codings.every((coding) => /^\s*(chunked)?\s*$/.test(coding));
  return known ? invalidField('Transfer-Encoding', 'has to be chunked, once') : unknownCoding();
}

function render(error: AppError, requestId: string): string {
  const status = errorCodes[error.code].status;
  const body = JSON.stringify(problemOf(error, requestId));
  const fields = {
    date: new Date().toUTCString(),
    'content-type': problemContentType,
    'content-length': Buffer.byteLength(body),
    'x-request-id': requestId,
    connection: 'close',
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`;
}
