import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type t from 'tap';

export interface Received {
  headers: IncomingMessage['headers'];
  body: string;
}

/** A target of webhooks, which answers as it is told. */
export async function startTarget(test: Pick<typeof t, 'teardown'>) {
  const received: Received[] = [];
  const emitter = new EventEmitter();
  const target = {
    status: 200,
    headers: {} as Record<string, string>,
    asked: 0,
    /** Null: `status`. */
    answer: (_body: string): number | null | Promise<number | null> => null,
  };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    target.asked += 1;
    const status = (await target.answer(body)) ?? target.status;
    if (status < 300) received.push({ headers: request.headers, body });
    response.writeHead(status, target.headers).end('x'.repeat(100));
    emitter.emit('asked');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.teardown(() => server.close().closeAllConnections());

  return {
    target,
    received,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    async until(happened: () => boolean): Promise<void> {
      while (!happened()) await once(emitter, 'asked');
    },
  };
}
