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

t.test('fragments, pings, large and compressed messages and close codes pass as they are', async (t) => {
  const edge = await startWorker(t);
  const { url, server } = await startUpstream(t, (_request, response) => response.end('plain'));
  const sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } });
  const closes: string[] = [];
  sockets.on('connection', (socket) => {
    socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }));
    socket.on('close', (code, reason) => closes.push(`${code} ${reason}`));
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const opened = async () => {
    const socket = open(edge);
    await once(socket, 'open');
    return socket;
  };

  const socket = await opened();
  t.match(socket.extensions, /permessage-deflate/);
  const pong = once(socket, 'pong');
  // A control frame may come between the fragments of a message (RFC 6455, section 5.4).
  socket.send('one ', { fin: false });
  socket.ping('are you there');
  socket.send('and ', { fin: false });
  socket.send('two', { fin: true });
  t.equal(String((await pong)[0]), 'are you there');
  t.equal(String((await once(socket, 'message'))[0]), 'one and two');
  const [upstream] = sockets.clients;
  const back = new Promise((resolve) => upstream!.once('pong', (data) => resolve(String(data))));
  upstream!.ping('and you');
  t.equal(await back, 'and you');
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 5_000_000]) {
    for (const compress of [true, false]) {
      const message = Buffer.alloc(size, 'é');
      socket.send(message, { compress });
      const [echo, isBinary] = await once(socket, 'message');
      t.ok(isBinary && message.equals(echo as Buffer), `${size} bytes, ${compress}`);
    }
  }
  const many = Array.from({ length: 500 }, (_, i) => String(i));
  const echoes: string[] = [];
  const all = new Promise<void>((resolve) => {
    socket.on('message', (echo) => echoes.push(String(echo)) === many.length && resolve());
  });
  for (const one of many) socket.send(one);
  await all;
  t.same(echoes, many, 'in their order');

  const closed = once(socket, 'close');
  socket.close(3007, 'done here');
  t.same((await closed).map(String), ['3007', 'done here']);
  for (const code of [1000, 1001, 1011, 4999]) {
    const other = await opened();
    const gone = once(other, 'close');
    for (const one of sockets.clients) one.close(code, 'that is all');
    t.same((await gone).map(String), [String(code), 'that is all']);
  }
  const broken = await opened();
  const cut = once(broken, 'close');
  for (const one of sockets.clients) one.terminate();
  t.equal((await cut)[0], 1006);
  t.ok(closes.includes('3007 done here'));
});
