import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream';

export interface Dealer {
  readonly port: number;
  /** How many connections each port was dealt, in the order of `ports`. */
  readonly dealt: readonly number[];
  close(): Promise<void>;
}

/** A TCP proxy on loopback that deals each new connection to the next of `ports`, in turn. */
export async function startDealer({ ports }: { ports: readonly number[] }): Promise<Dealer> {
  const sockets = new Set<Socket>();
  const dealt = ports.map(() => 0);
  let next = 0;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const index = next++ % ports.length;
    dealt[index]! += 1;
    const upstream = connect({ port: ports[index]!, host: '127.0.0.1', allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
    // A side that fails takes the other with it: as when there were no proxy.
    pipeline(client, upstream, (error) => error && client.destroy());
    pipeline(upstream, client, (error) => error && upstream.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    dealt,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
