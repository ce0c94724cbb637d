import { type AddressInfo, createServer } from 'node:net';
import type { Address } from '@lockstep/contract';
import { listenError } from '../../server/listen-error.ts';

/**
 * Makes sure that nobody listens there, and settles port 0 on a free port. Workers that share a port with `reusePort` would
 * share it with a second edge as well; this plain bind does not. Throws `bad_configuration`.
 */
export function probeAddress(address: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', (cause) => reject(listenError(address, cause)));
    server.listen({ host: address.host, port: address.port, exclusive: true }, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve({ host: address.host, port }));
    });
  });
}
