import { lookup } from 'node:dns/promises';
import { BoundSocket, isIP } from 'node:net';
import type { Address } from '@lockstep/contract';
import { listenError } from '../../server/listen-error.ts';

/** A socket that a worker listens on, by its descriptor in this process. */
export interface ListeningSocket {
  fd(): number;
  close(): void;
}

/** The two sockets that one worker listens on. */
export interface SocketPair {
  https: ListeningSocket;
  http: ListeningSocket;
}

/**
 * The sockets of an edge's workers, bound here and listened on there: they outlive a worker, so that connections wait for the one that
 * replaces it instead of being refused.
 */
export interface ListeningSockets {
  readonly pairs: readonly SocketPair[];
  /** Refuses connections from now on, as soon as the workers have closed theirs too; on sockets that were given they wait for who comes. */
  close(): void;
}

/**
 * One pair for each of `count` workers; several share the ports, and the kernel deals connections out. A socket that was given is the same for all
 * of them. Throws `bad_configuration`.
 */
export async function createListeningSockets(
  count: number,
  addresses: { https: Address; http: Address },
  given: { https?: ListeningSocket | undefined; http?: ListeningSocket | undefined } = {},
): Promise<ListeningSockets> {
  const pairs: SocketPair[] = [];
  const close = () => {
    for (const socket of new Set(pairs.flatMap(({ https, http }) => [https, http]))) socket.close();
  };
  const reusePort = count > 1;
  const [httpsHost, httpHost] = [await numeric(addresses.https), await numeric(addresses.http)];
  try {
    for (let i = 0; i < count; i += 1) {
      const https = given.https ?? bind(addresses.https, httpsHost, reusePort);
      try {
        pairs.push({ https, http: given.http ?? bind(addresses.http, httpHost, reusePort) });
      } catch (error) {
        https.close();
        throw error;
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  return { pairs, close };
}

function bind(address: Address, host: string, reusePort: boolean): ListeningSocket {
  try {
    return new BoundSocket({ host, port: address.port, reusePort });
  } catch (cause) {
    throw listenError(address, cause as NodeJS.ErrnoException);
  }
}

async function numeric(address: Address): Promise<string> {
  if (isIP(address.host) !== 0) return address.host;
  try {
    return (await lookup(address.host)).address;
  } catch (cause) {
    throw listenError(address, cause as NodeJS.ErrnoException);
  }
}
