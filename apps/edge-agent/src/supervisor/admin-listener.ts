import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { type Address, type Boundary, isAdminHost, nameInHost, type Readiness } from '@lockstep/contract';
import { listenError } from '../worker/listen-error.ts';

const { createServer } = process.getBuiltinModule('node:http');

export interface AdminListenerOptions {
  address: Address;
  /** Names that it may be called by, besides addresses, `localhost` and this machine's name. */
  hosts: readonly string[];
  boundary: Boundary;
  readiness(): Promise<Readiness>;
  metrics(): Promise<{ contentType: string; text: string }>;
}

export interface AdminListener {
  readonly address: Address;
  close(): Promise<void>;
}

/** `/healthz`, `/readyz` and `/metrics` of one edge. Throws `bad_configuration` when the address cannot be bound. */
export async function createAdminListener(options: AdminListenerOptions): Promise<AdminListener> {
  const { boundary } = options;
  const names = [...options.hosts, options.address.host, hostname()];

  async function answer(path: string, response: ServerResponse): Promise<void> {
    if (path === '/healthz') send(response, 200, 'application/json', '{"status":"ok"}');
    else if (path === '/readyz') {
      const readiness = await options.readiness();
      const status = readiness.status === 'not_ready' ? 503 : 200;
      send(response, status, 'application/json', JSON.stringify(readiness));
    } else if (path === '/metrics') {
      const { contentType, text } = await options.metrics();
      send(response, 200, contentType, text);
    } else send(response, 404, 'text/plain', 'not found\n');
  }

  const server = createServer((request, response) => {
    response.on('error', () => {});
    const { host } = request.headers;
    const name = host === undefined ? null : nameInHost(host);
    // HTTP/1.1 never comes here without one; HTTP/1.0 did without, and load balancers' health checks still do.
    if (host !== undefined && (name === null || !isAdminHost(name, names))) {
      send(response, 421, 'text/plain', 'this host is not served here\n');
      return;
    }
    answer(request.url!.split('?', 1)[0]!, response).catch((error) => {
      boundary.note('admin', error);
      if (response.headersSent) response.destroy();
      else send(response, 500, 'text/plain', 'the answer is not available\n');
    });
  });
  await listen(server, options.address);
  server.on('error', (error) => boundary.note('admin', error));
  return {
    address: { host: options.address.host, port: (server.address() as AddressInfo).port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { 'content-type': contentType }).end(text);
}

function listen(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException) => reject(listenError(address, cause));
    server.once('error', onError);
    server.listen(address.port, address.host, () => {
      server.off('error', onError);
      resolve();
    });
  });
}
