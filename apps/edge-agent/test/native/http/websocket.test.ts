import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type ConnectionOptions, connect } from 'node:tls';
import t from 'tap';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { type ServingWorker, startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';

function open(edge: ServingWorker): WebSocket {
  return new WebSocket(`wss://127.0.0.1:${edge.httpsPort}/chat`, {
    headers: { host },
    servername: host,
    ca: edge.root,
  } as ClientOptions & { servername: string });
}

t.test('a websocket works both ways and outlives changes of its route and certificate', async (t) => {
  const edge = await startWorker(t);
  const { url, server } = await startUpstream(t, (_request, response) => response.end('plain'));
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    socket.send(`hello ${request.url} ${request.headers['x-forwarded-proto']}`);
    socket.on('message', (message) => socket.send(`echo ${message}`));
  });
  await edge.applied(await edge.serve('shop', [host], [url]));

  const socket = open(edge);
  const [greeting] = await once(socket, 'message');
  t.equal(String(greeting), 'hello /chat https');

  await edge.serve('shop', [host], ['http://127.0.0.1:1']);
  await edge.applied(await edge.commit({ op: 'delete', kind: 'route', id: 'shop' }));
  t.equal((await fetchThrough({ port: edge.httpsPort, host, root: edge.root })).status, 404);
  for (let i = 0; i < 3; i += 1) {
    socket.send(String(i));
    const [echo] = await once(socket, 'message');
    t.equal(String(echo), `echo ${i}`);
  }
  const closed = once(socket, 'close');
  for (const one of sockets.clients) one.close(4001, 'bye');
  const [code, reason] = await closed;
  t.equal(code, 4001);
  t.equal(String(reason), 'bye');
});

t.test(
  'a request in flight is answered by the upstream it went to, whatever happens to its route',
  async (t) => {
    const edge = await startWorker(t);
    const arrived = Promise.withResolvers<() => void>();
    const { url } = await startUpstream(t, (_request, response) => {
      response.write('begun ');
      arrived.resolve(() => response.end('and done'));
    });
    await edge.applied(await edge.serve('shop', [host], [url]));
    const answer = fetchThrough({ port: edge.httpsPort, host, root: edge.root });
    const finish = await arrived.promise;
    await edge.applied(
      await edge.commit(
        { op: 'delete', kind: 'route', id: 'shop' },
        { op: 'delete', kind: 'certificate', id: host },
      ),
    );
    finish();
    t.match(await answer, { status: 200, body: 'begun and done' });
  },
);

t.test('a refused upgrade reaches the client as the answer it is', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (_request, response) => response.writeHead(403).end('no'));
  await edge.applied(await edge.serve('shop', [host], [url]));
  const socket = open(edge);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  t.equal(response.statusCode, 403);
  t.equal(await text(response), 'no');
});

t.test('an upgrade without a route or an upstream is an ordinary problem', async (t) => {
  const edge = await startWorker(t);
  await edge.applied(await edge.serve('shop', [host], ['http://127.0.0.1:1']));
  const down = open(edge);
  const [, bad] = (await once(down, 'unexpected-response')) as [unknown, IncomingMessage];
  t.equal(bad.statusCode, 502);
  await edge.applied(await edge.commit({ op: 'delete', kind: 'route', id: 'shop' }));
  const unrouted = open(edge);
  const [, missing] = (await once(unrouted, 'unexpected-response')) as [unknown, IncomingMessage];
  t.equal(missing.statusCode, 404);
  for (const one of [down, unrouted]) one.on('error', () => {}).terminate();
});

t.test('each direction of an upgraded connection ends by itself', async (t) => {
  const edge = await startWorker(t);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  server.on('upgrade', (_request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (head.length > 0) socket.unshift(head);
    socket.allowHalfOpen = true;
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.on('end', () => socket.end(`after your end: ${received}`));
  });
  await edge.applied(
    await edge.serve('shop', [host], [`http://127.0.0.1:${(server.address() as AddressInfo).port}`]),
  );
  const options = {
    host: '127.0.0.1',
    port: edge.httpsPort,
    servername: host,
    ca: edge.root,
    allowHalfOpen: true,
  };
  const client = connect(options as ConnectionOptions);
  await once(client, 'secureConnect');
  client.end(
    `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nlast words`,
  );
  const answer = await text(client);
  t.match(answer, /^HTTP\/1\.1 101 /);
  t.match(answer, /after your end: last words$/);
});

t.test('an upstream that is gone ends the websocket', async (t) => {
  const edge = await startWorker(t);
  const { url, server } = await startUpstream(t, (_request, response) => response.end());
  const sockets = new WebSocketServer({ server });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const socket = open(edge);
  await once(socket, 'open');
  const closed = once(socket, 'close');
  for (const one of sockets.clients) one.terminate();
  t.equal((await closed)[0], 1006);
});
