import { once } from 'node:events';
import { type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';

/** A client's end of a websocket over a stream of HTTP/2 (RFC 8441). */
interface Ws extends WebSocket {
  setSocket(stream: unknown, head: Buffer, options: object): void;
}

async function start(t: Test) {
  const edge = await startWorker(t);
  const { url, server } = await startUpstream(t, (_request, response) => response.writeHead(426).end('no'));
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'chat' });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const session = connect(`https://127.0.0.1:${edge.httpsPort}`, { ca: edge.root, servername: host });
  t.teardown(() => session.destroy());
  const [settings] = await once(session, 'remoteSettings');
  t.equal(settings.enableConnectProtocol, true);
  const open = (more: Record<string, string> = {}) =>
    session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':authority': host,
      ':path': '/chat?room=1',
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'chat',
      ...more,
    });
  return { edge, sockets, session, open };
}

function websocketOver(stream: ClientHttp2Stream): Ws {
  const Client = WebSocket as unknown as new (address: null, protocols: undefined, options: object) => Ws;
  const socket = new Client(null, undefined, { autoPong: true, closeTimeout: 30_000 });
  Object.assign(socket, { _isServer: false }); // it masks what it sends
  socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 64 << 20, allowSynchronousEvents: true });
  return socket;
}

t.test('a websocket over HTTP/2 works both ways, beside requests of the same connection', async (t) => {
  const { edge, sockets, session, open } = await start(t);
  sockets.on('connection', (socket, request) => {
    socket.send(`hello ${request.method} ${request.url} ${request.headers.host}`);
    socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }));
  });
  const stream = open();
  const [head] = await once(stream, 'response');
  t.match(head, {
    ':status': 200,
    'sec-websocket-protocol': 'chat',
    'sec-websocket-accept': undefined,
    upgrade: undefined,
  });
  const socket = websocketOver(stream);
  t.equal(String((await once(socket, 'message'))[0]), `hello GET /chat?room=1 ${host}`);
  const big = Buffer.alloc(3_000_000, 'x');
  for (const message of [Buffer.from('a'), big]) {
    socket.send(message);
    const [echo] = await once(socket, 'message');
    t.ok(message.equals(echo as Buffer), `${message.length} bytes`);
  }
  const plain = session.request({ ':authority': host, ':path': '/' });
  const [answer] = await once(plain, 'response');
  t.equal(answer[':status'], 426);
  await text(plain);
  t.equal(edge.worker.figures().tunnels, 1);
  const closed = once(socket, 'close');
  for (const one of sockets.clients) one.close(4001, 'bye');
  t.same((await closed).map(String), ['4001', 'bye']);
  await waitFor(async () => edge.worker.figures().tunnels === 0, { what: 'the tunnel to end' });
});

t.test('either end that breaks off breaks the other', async (t) => {
  const { edge, sockets, open } = await start(t);
  const opened = once(sockets, 'connection');
  const stream = open();
  await once(stream, 'response');
  const [upstream] = (await opened) as [WebSocket];
  const gone = once(upstream, 'close');
  stream.close(constants.NGHTTP2_CANCEL);
  t.equal((await gone)[0], 1006);
  const again = once(sockets, 'connection');
  const other = open();
  other.on('error', () => {});
  await once(other, 'response');
  other.resume();
  const closed = once(other, 'close');
  const [reset] = (await again) as [WebSocket & { _socket: Socket }];
  reset._socket.resetAndDestroy();
  await closed;
  t.equal(other.rstCode, constants.NGHTTP2_CANCEL);
  await waitFor(async () => edge.worker.figures().tunnels === 0, { what: 'the tunnels to end' });
});

t.test(
  'what an upstream answers instead is an ordinary answer, and other protocols are not spoken',
  async (t) => {
    const { session, open } = await start(t);
    const refused = open({ 'sec-websocket-version': '5' });
    const [head] = await once(refused, 'response');
    t.equal(head[':status'], 400);
    await text(refused);
    const elsewhere = open({ ':authority': 'nobody.example.com' });
    t.equal((await once(elsewhere, 'response'))[0][':status'], 404);
    await text(elsewhere);
    const other = open({ ':protocol': 'connect-udp' });
    t.equal((await once(other, 'response'))[0][':status'], 501);
    await text(other);
    const plain = session.request({ ':method': 'CONNECT', ':authority': host });
    t.equal((await once(plain, 'response'))[0][':status'], 501);
  },
);
