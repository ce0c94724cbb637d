import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { AppError, formatAddress } from '@lockstep/contract';
import type { Listener } from './plan-addresses.ts';

/** Throws `bad_configuration` naming the first port that cannot be had, so that nothing starts by halves. */
export async function checkPorts(listeners: Listener[]): Promise<void> {
  for (const { what, address, flag } of listeners) {
    const server: Server = createServer();
    try {
      server.listen({ ...address, exclusive: true });
      await once(server, 'listening');
    } catch (cause) {
      const reason = reasons[(cause as NodeJS.ErrnoException).code ?? ''] ?? 'cannot be used';
      throw new AppError(
        'bad_configuration',
        `port ${address.port} (${formatAddress(address)}, for ${what}) ${reason}; choose another with ${flag}`,
        { cause },
      );
    } finally {
      server.close();
    }
  }
}

const reasons: Record<string, string> = {
  EADDRINUSE: 'is taken by another program',
  EACCES: 'is kept for the administrator of this machine',
};
