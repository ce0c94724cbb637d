import { lookup } from 'node:dns/promises';
import { BoundSocket, isIP } from 'node:net';
import type { Address } from '@lockstep/contract';
import { listenError } from '../../server/listen-error.ts';

/** The two sockets that one worker listens on. */
export interface SocketPair {
  https: BoundSocket;
  http: BoundSocket;
}

/**
 * The sockets of an edge's workers, bound here and listened on there: they outlive a worker, so that connections wait for the one that
 * replaces it instead of being refused.
 */
export interface ListeningSockets {
  readonly pairs: readonly SocketPair[];
  /** Refuses connections from now on, as soon as the workers have closed theirs too. */
  close(): void;
}

/** One pair for each of `count` workers; several share the ports, and the kernel deals connections out. Throws `bad_configuration`. */
export async function createListeningSockets(
  count: number,
  addresses: { https: Address; http: Address },
): Promise<ListeningSockets> {
  const pairs: SocketPair[] = [];
  const close = () => {
    for (const { https, http } of pairs) {
      https[Symbol.dispose]();
      http[Symbol.dispose]();
    }
  };
  const reusePort = count > 1;
  const [httpsHost, httpHost] = [await numeric(addresses.https), await numeric(addresses.http)];
  try {
    for (let i = 0; i < count; i += 1) {
      const https = bind(addresses.https, httpsHost, reusePort);
      try {
        pairs.push({ https, http: bind(addresses.http, httpHost, reusePort) });
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

function bind(address: Address, host: string, reusePort: boolean): BoundSocket {
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
