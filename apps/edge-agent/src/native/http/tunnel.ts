import type { Duplex } from 'node:stream';

/**
 * Joins two connections until both directions have ended. Each direction ends by itself: a side that has sent its last byte
 * still receives. A break of one breaks the other.
 */
export function tunnel(a: Duplex, b: Duplex, onClose: () => void): void {
  let open = 2;
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.allowHalfOpen = true;
    from.on('error', () => to.destroy());
    from.on('close', () => {
      // A side that went before it had ended regularly leaves nothing to wait for.
      if (!from.readableEnded || !from.writableFinished) to.destroy();
      open -= 1;
      if (open === 0) onClose();
    });
    from.pipe(to);
  }
}
