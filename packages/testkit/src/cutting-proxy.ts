import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * Stands between a store and its Redis. `cut` decides for each answer of the server, before the client sees any of it,
 * whether the connection breaks instead.
 */
export async function startCuttingProxy(port: number, cut: (answer: Buffer) => boolean) {
  const sockets = new Set<Socket>();
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', end).on('close', end).setNoDelay();
    }
    client.on('data', (data: Buffer) => upstream.write(data));
    upstream.on('data', (data: Buffer) => {
      if (!cut(data)) return client.write(data);
      cuts += 1;
      end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get cuts() {
      return cuts;
    },
    /** Breaks every connection that stands. */
    cutAll(): void {
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    async close(): Promise<void> {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
