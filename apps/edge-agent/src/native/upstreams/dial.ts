import { connect, type Socket } from 'node:net';
import { sharedRead } from './shared-read.ts';

export interface Address {
  address: string;
  family: number;
}

/** How long an address is waited for alone before the next is tried beside it (RFC 8305, section 5). */
const nextAfterMs = 250;

/**
 * Connects to the first of the addresses that answers: each is given a moment before the next is tried beside it, and one that
 * fails makes room at once. Gives back what calls it off; nothing is called after that. `plain`: it will not carry TLS.
 */
export function dial(
  addresses: readonly Address[],
  port: number,
  plain: boolean,
  callback: (error: Error | null, socket: Socket | null) => void,
): () => void {
  const trying = new Set<Socket>();
  let next = 0;
  let timer: NodeJS.Timeout | undefined;
  let over = false;

  function stop(): void {
    over = true;
    clearTimeout(timer);
    for (const socket of trying) socket.destroy();
  }

  function tryNext(): void {
    clearTimeout(timer);
    const { address } = addresses[next]!;
    next += 1;
    const socket = openSocket({ host: address, port }, plain);
    trying.add(socket);
    socket.once('connect', () => {
      if (over) return;
      trying.delete(socket);
      stop();
      callback(null, socket);
    });
    socket.on('error', (error) => {
      if (!trying.delete(socket) || over) return;
      if (next < addresses.length) tryNext();
      else if (trying.size === 0) {
        stop();
        callback(error, null);
      }
    });
    if (next < addresses.length) timer = setTimeout(tryNext, nextAfterMs);
  }

  tryNext();
  return stop;
}

/** The same for a socket of this machine's file system. */
export function dialPath(path: string, callback: Parameters<typeof dial>[3]): () => void {
  const socket = openSocket({ path }, true);
  let over = false;
  const done = (error: Error | null) => {
    if (over) return;
    over = true;
    callback(error, error === null ? socket : null);
  };
  socket.once('connect', () => done(null));
  socket.on('error', done);
  return () => {
    over = true;
    socket.destroy();
  };
}

function openSocket(to: { host: string; port: number } | { path: string }, plain: boolean): Socket {
  return connect({
    ...to,
    ...(plain ? { onread: sharedRead } : {}),
    highWaterMark: 65_536,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  } as Parameters<typeof connect>[0] & object);
}

/** Alternates between the families, beginning with that of the first (RFC 8305, section 4). */
export function interleave(addresses: readonly Address[]): Address[] {
  const first = addresses.filter(({ family }) => family === addresses[0]!.family);
  const others = addresses.filter(({ family }) => family !== addresses[0]!.family);
  const all: Address[] = [];
  for (let i = 0; i < Math.max(first.length, others.length); i += 1) {
    if (first[i] !== undefined) all.push(first[i]!);
    if (others[i] !== undefined) all.push(others[i]!);
  }
  return all;
}
