import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HttpUpstream {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** An HTTP server on loopback. Without a handler it answers with the request's method, url and headers as JSON. */
export async function startUpstream(handler: RequestListener = echo): Promise<HttpUpstream> {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const echo: RequestListener = ({ method, url, headers }, response) => {
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ method, url, headers }));
};
