import type { RefusalReason } from './request-refusal.ts';

interface ParserError extends NodeJS.ErrnoException {
  /** In llhttp's own words. */
  reason?: string;
  /** What was being parsed, and how far it was good. */
  rawPacket?: Buffer;
  bytesParsed?: number;
}

/** Why a connection is answered for an error of Node's parser. Null: the connection itself broke. */
export function refusalOfParser(error: ParserError): RefusalReason | null {
  const { code = '', reason } = error;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'head_timeout';
  if (!code.startsWith('HPE_')) return null;
  // A line that begins with a method and does not end is a target without an end.
  if (code === 'HPE_HEADER_OVERFLOW')
    return /^[A-Z-]+ (?:\/|https?:)\S*$/i.test(faultyLine(error)) ? 'target_too_long' : 'head_too_large';
  // Node's parser knows a list of methods; others are tokens all the same (RFC 9110, section 9.1).
  if (code === 'HPE_INVALID_METHOD' && requestLine.test(faultyLine(error))) return 'unknown_method';
  if (reason === 'Invalid method for HTTP/x.x request') return 'unknown_method'; // those of RTSP
  // The other faults of a version are about how it is written (RFC 9112, section 2.3).
  return reason === 'Invalid HTTP version' ? 'unknown_version' : 'parse_error';
}

const requestLine = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP\/1\.[01]\r\n/;

/** From the beginning of the line that the fault is in, as far as that was in the same packet. */
function faultyLine({ rawPacket, bytesParsed = 0 }: ParserError): string {
  const text = rawPacket?.toString('latin1') ?? '';
  return text.slice(bytesParsed === 0 ? 0 : text.lastIndexOf('\n', bytesParsed - 1) + 1);
}
