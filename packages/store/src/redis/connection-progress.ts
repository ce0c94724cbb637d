import type { Redis } from 'ioredis';

/** A connection that owes an answer and says nothing at all for this long is given up. */
const silentMs = 5_000;
const ticks = 10;

/**
 * Gives up a connection that swallows what is sent (a half-open TCP connection, a handshake that is never answered), so that
 * it is dialled again: from the connection on, whenever something is owed. Anything that comes is progress, however slow. Time
 * in which this very process stood still is not counted. `blockedMs`: how long the server may keep an answer back by itself.
 */
export function watchProgress(client: Redis, { blockedMs = () => 0 }: { blockedMs?: () => number } = {}) {
  let timer: NodeJS.Timeout | undefined;
  let givenUp = 0;

  client.on('connect', () => {
    const { stream } = client;
    let quiet = 0;
    stream.on('data', () => {
      quiet = 0;
    });
    clearInterval(timer);
    timer = setInterval(() => {
      if (client.stream !== stream || stream.destroyed) return clearInterval(timer);
      const owed = client.status === 'connect' || client.commandQueue.length > 0;
      quiet = owed ? quiet + 1 : 0;
      if (quiet * (silentMs / ticks) < silentMs + blockedMs()) return;
      givenUp += 1;
      stream.destroy(new Error(silence));
    }, silentMs / ticks);
    timer.unref();
  });

  return {
    /** How many connections were given up. */
    get givenUp() {
      return givenUp;
    },
    stop(): void {
      clearInterval(timer);
    },
  };
}

export const silence = `no answer, and nothing else heard for ${silentMs} ms`;
