import type { ServerResponse } from 'node:http';

/**
 * As `flushHeaders`, which sends a head as UTF-8: bytes above 0x7f, which Node reads as Latin-1 as it writes all other heads, would become two
 * each. What a field means by them is for its ends to say (RFC 9110, section 5.5).
 */
export function flushHead(response: ServerResponse): void {
  if (!response.headersSent) {
    response.flushHeaders();
    return;
  }
  (response as unknown as { _send(data: string, encoding: BufferEncoding): void })._send('', 'latin1');
}
