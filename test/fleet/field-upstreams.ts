import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createH2Server } from 'node:http2';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createLocalhostCertificate, freePort } from '@lockstep/testkit';
import type t from 'tap';

/** What an upstream says it has received. */
export interface Echo {
  upstream: string;
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
  /** The line of the PROXY protocol that the connection began with. */
  proxied: string | null;
}

export const page = '<p>the same words again and again</p>\n'.repeat(200);

/**
 * Upstreams of each kind. They answer with what they received; `…/page` with a page, `…/only/NAME` with 503 where that is not their name, `…/slow` with nothing, and `…/close`
 * by the end of the connection.
 */
export async function startFieldUpstreams(test: Pick<typeof t, 'teardown'>, dir: string) {
  const servers: { close(): unknown; closeAllConnections?(): void }[] = [];
  test.teardown(() => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections?.();
    }
  });
  const listen = async (server: Server, at: number | string = 0) => {
    servers.push(server);
    server.listen(...([at, ...(typeof at === 'number' ? ['127.0.0.1'] : [])] as [number]));
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const plain = (name: string) => createServer(answerAs(name));

  const { chain, keyPem, rootPem } = await createLocalhostCertificate('app.internal');
  const h2c = createH2Server(answerAs('h2c') as unknown as Parameters<typeof createH2Server>[1]);
  const secure = createSecureServer({ cert: chain, key: keyPem }, answerAs('tls'));
  const socketPath = join(dir, 'app.sock');
  const proxied = plain('proxied');
  const front = createSocketServer((socket) => readProxyLine(socket, proxied));
  const frontPort = await listen(front as unknown as Server);
  await listen(plain('socket'), socketPath);
  const url = (port: number, scheme = 'http') => `${scheme}://127.0.0.1:${port}`;
  return {
    one: url(await listen(plain('one'))),
    two: url(await listen(plain('two'))),
    /** Its certificate is for `app.internal`, of the CA `rootPem`. */
    secure: url(await listen(secure as unknown as Server), 'https'),
    /** HTTP/2 without TLS. */
    h2c: url(await listen(h2c as unknown as Server)),
    rootPem,
    socket: `unix:${socketPath}`,
    proxied: url(frontPort),
    /** Nothing listens there. */
    dead: url(await freePort()),
  };
}

function answerAs(upstream: string) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url = '', headers, socket } = request;
    if (url.includes('/slow')) return;
    if (url.includes('/close')) {
      socket.destroy();
      return;
    }
    if (url.includes('/page')) {
      response.writeHead(200, { 'content-type': 'text/html', etag: '"v1"', server: 'field/1' }).end(page);
      return;
    }
    const [, name] = /\/only\/(\w+)/.exec(url) ?? [];
    const status = name === undefined || name === upstream ? 200 : 503;
    let body = '';
    try {
      for await (const chunk of request) body += chunk;
    } catch {
      // The edge has broken it off: the client's body was too long, say.
      return;
    }
    const { proxyLine = null } = socket as Socket & { proxyLine?: string };
    const echo = { upstream, method, url, headers, body, proxied: proxyLine };
    response
      .writeHead(status, { 'content-type': 'application/json', server: 'field/1' })
      .end(JSON.stringify(echo));
  };
}

function readProxyLine(socket: Socket & { proxyLine?: string }, server: Server): void {
  socket.on('error', () => socket.destroy());
  socket.once('data', (chunk: Buffer) => {
    const end = chunk.indexOf('\r\n');
    socket.proxyLine = chunk.toString('latin1', 0, end);
    socket.unshift(chunk.subarray(end + 2));
    server.emit('connection', socket);
  });
}
