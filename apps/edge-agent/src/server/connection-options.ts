import type { Server } from 'node:net';

/** A client that vanished without a word would keep its websocket or event stream for ever. */
const keepAliveInitialDelayMs = 60_000;
/** One that is out of reach for a minute may come back. */
const probeEverySeconds = 10;
const probes = 6;

/** There a connection has what the socket has that it was accepted on, which spares each five calls of the system. */
const inherited = process.platform === 'linux';

/** What a server that all clients connect to is made with; `setForAll` does the rest. */
export const connectionOptions = {
  noDelay: !inherited,
  keepAlive: !inherited,
  keepAliveInitialDelay: keepAliveInitialDelayMs,
} as const;

/** Node has these two for the socket of a connection; the one that listens takes them as well. */
interface ListeningHandle {
  setNoDelay?(on: boolean): void;
  setKeepAlive?(on: boolean, delaySeconds: number, everySeconds: number, count: number): void;
}

/**
 * To be called once a server listens: small writes go out at once, an event behind another does not wait until the client acknowledges the
 * first; and clients that are silent are asked whether they are there.
 */
export function setForAll(server: Server): void {
  if (!inherited) return;
  const { _handle: handle } = server as unknown as { _handle: ListeningHandle | null };
  handle?.setNoDelay?.(true);
  handle?.setKeepAlive?.(true, keepAliveInitialDelayMs / 1_000, probeEverySeconds, probes);
}
