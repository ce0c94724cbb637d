import type { ClientStream } from '../../server/client-stream.ts';

/** A stream whose answer is complete needs no more of the request (RFC 9113, section 8.1). */
export function endWithAnswer({ stream }: ClientStream): void {
  stream.once('finish', () => {
    // Later: a head without content is not out yet, and closing now would take it back.
    if (!stream.readableEnded) setImmediate(() => stream.closed || stream.close(0)); // NO_ERROR
  });
}
