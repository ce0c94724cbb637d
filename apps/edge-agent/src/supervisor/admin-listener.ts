import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Address, Readiness } from '@lockstep/contract';
import { listenError } from '../worker/listen-error.ts';

const { createServer } = process.getBuiltinModule('node:http');

export interface AdminListenerOptions {
  address: Address;
  readiness(): Readiness;
  metrics(): Promise<{ contentType: string; text: string }>;
}

export interface AdminListener {
  readonly address: Address;
  close(): Promise<void>;
}

/** `/healthz`, `/readyz` and `/metrics` of one edge. Throws `bad_configuration` when the address cannot be bound. */
export async function createAdminListener(options: AdminListenerOptions): Promise<AdminListener> {
  const server = createServer((request, response) => {
    const answer = (status: number, contentType: string, text: string) => {
      response.writeHead(status, { 'content-type': contentType }).end(text);
    };
    const path = request.url!.split('?', 1)[0];
    if (path === '/healthz') answer(200, 'application/json', '{"status":"ok"}');
    else if (path === '/readyz') {
      const readiness = options.readiness();
      answer(readiness.status === 'ready' ? 200 : 503, 'application/json', JSON.stringify(readiness));
    } else if (path === '/metrics') {
      options.metrics().then(
        ({ contentType, text }) => answer(200, contentType, text),
        () => answer(500, 'text/plain', 'the figures are not available\n'),
      );
    } else answer(404, 'text/plain', 'not found\n');
  });
  await listen(server, options.address);
  return {
    address: { host: options.address.host, port: (server.address() as AddressInfo).port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(listenError(address, cause)));
    server.listen(address.port, address.host, resolve);
  });
}
