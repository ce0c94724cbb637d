import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { type Address, AppError, formatAddress } from '@lockstep/contract';
import type { FastifyListenOptions } from 'fastify';
import type { ApiInstance } from './api-instance.ts';

/** libuv accepts one connection of each listening socket in a turn of the event loop, so that a burst of them would wait for as many turns. */
const sockets = 16;

/**
 * Listens for the API on several sockets of one address, which end with the server. Gives the address back with a real port where 0 was asked
 * for. Throws `bad_configuration`, also where another process has the address.
 */
export async function listen(app: ApiInstance, { host, port }: Address): Promise<Address> {
  // Of localhost, Fastify would make a second server for the other family, which none of our listeners hears.
  const name = host === 'localhost' ? '127.0.0.1' : host;
  try {
    // Sockets that share an address would share it with another process as well: one that does not finds out first.
    const real = await portOf(name, port);
    if (await canShare(name)) await listenOnSeveral(app, name, real);
    else await app.listen({ host: name, port });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${code})`;
    throw new AppError(
      'bad_configuration',
      `${formatAddress({ host, port })} ${reason}; choose another address for the API`,
      { cause },
    );
  }
  const bound = app.server.address();
  return bound !== null && typeof bound === 'object' ? { host, port: bound.port } : { host, port };
}

async function portOf(host: string, port: number): Promise<number> {
  const probe = createServer();
  await bind(probe, { host, port });
  const bound = probe.address();
  await end(probe);
  return bound !== null && typeof bound === 'object' ? bound.port : port;
}

/** Whether the platform lets sockets share an address. */
async function canShare(host: string): Promise<boolean> {
  const probe = createServer();
  try {
    await bind(probe, { host, port: 0, reusePort: true });
  } catch {
    return false;
  }
  await end(probe);
  return true;
}

async function listenOnSeveral(app: ApiInstance, host: string, port: number): Promise<void> {
  const others: Server[] = [];
  app.addHook('preClose', async () => {
    for (const other of others) other.close();
  });
  await app.listen({ host, port, reusePort: true } as FastifyListenOptions);
  for (let index = 1; index < sockets; index += 1) {
    // As an HTTP server makes its own.
    const other = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      app.server.emit('connection', socket),
    );
    await bind(other, { host, port, reusePort: true });
    others.push(other);
  }
}

async function end(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

async function bind(
  server: Server,
  options: { host: string; port: number; reusePort?: boolean },
): Promise<void> {
  server.listen(options);
  await once(server, 'listening');
}
