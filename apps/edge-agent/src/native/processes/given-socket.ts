import { closeSync, fstatSync } from 'node:fs';
import { type AddressInfo, Socket } from 'node:net';
import { type Address, AppError } from '@lockstep/contract';
import type { ListeningSocket } from './listening-sockets.ts';

export interface GivenSocket extends ListeningSocket {
  readonly address: Address;
}

/** A socket that whoever started this process has bound. It stays bound when it is closed here. Throws `bad_configuration`. */
export function takeSocket(fd: number, name: string): GivenSocket {
  try {
    if (!fstatSync(fd).isSocket()) throw new Error('it is no socket');
    // Only to ask where it is bound; it is never closed, for that would take the descriptor with it.
    const handle = new Socket({ fd, readable: false, writable: false });
    handle.unref();
    const { address: host, port } = handle.address() as Partial<AddressInfo>;
    if (host === undefined || port === undefined) throw new Error('it is not bound to a port');
    asked.add(handle);
    let open = true;
    return {
      address: { host, port },
      fd: () => fd,
      close() {
        if (open) closeSync(fd);
        open = false;
      },
    };
  } catch (cause) {
    throw new AppError(
      'bad_configuration',
      `the socket that was passed for ${name} cannot be used: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

const asked = new Set<Socket>();
