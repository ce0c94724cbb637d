import type { IncomingMessage } from 'node:http';
import type { RefusalReason } from '../proxy/request-refusal.ts';

/**
 * Node's parser takes requests of RTSP and ICE for HTTP, and tells nobody. Methods that only RTSP has are known by name (`readRequest`); of
 * the others only the bytes tell, if the request begins what is being parsed. To be called while it is.
 */
export function speaksAnother({ socket, method, url }: IncomingMessage): boolean {
  const { parser } = socket as unknown as { parser?: { getCurrentBuffer(): Buffer } | null };
  if (parser === null || parser === undefined) return false;
  const text = parser.getCurrentBuffer().latin1Slice().trimStart();
  const start = `${method} ${url} `;
  return text.startsWith(start) && /^(?:RTSP|ICE)\//.test(text.slice(start.length, start.length + 5));
}

/** Why a connection is answered for an error of Node's parser. Null: the connection itself broke. */
export function refusalOfParser(
  error: NodeJS.ErrnoException & { rawPacket?: Buffer; reason?: string },
): RefusalReason | null {
  const { code = '', reason } = error;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'head_timeout';
  if (!code.startsWith('HPE_')) return null;
  const text = error.rawPacket?.toString('latin1') ?? '';
  if (code === 'HPE_HEADER_OVERFLOW') {
    // A line that begins with a method and does not end is a target without an end.
    return /^[A-Z-]+ (?:\/|https?:)\S*$/i.test(text) ? 'target_too_long' : 'head_too_large';
  }
  // Node's parser knows a list of methods; others are tokens all the same (RFC 9110, section 9.1).
  if (code === 'HPE_INVALID_METHOD' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP\/1\.[01]\r\n/.test(text)) {
    return 'unknown_method';
  }
  if (reason === 'Invalid method for HTTP/x.x request') return 'unknown_method'; // those of RTSP
  // The other faults of a version are about how it is written (RFC 9112, section 2.3).
  return reason === 'Invalid HTTP version' ? 'unknown_version' : 'parse_error';
}
