import { EventEmitter, once } from 'node:events';
import type { ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { connect } from 'node:tls';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { ClientStream } from '../../../src/server/client-stream.ts';
import { connectEdgeH2 } from '../../connect-edge-h2.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const uploads = { begun: 0, complete: 0, over: 0 };
const upstream = await startUpstream(t, (request, response) => {
  if (request.method === 'POST') {
    uploads.begun += 1;
    request
      .resume()
      .on('end', () => {
        uploads.complete += 1;
      })
      .on('error', () => {})
      .on('close', () => {
        uploads.over += 1;
      });
  } else if (request.url === '/empty') response.writeHead(304, { etag: '"a"' }).end();
  else if (request.url === '/chunked') response.writeHead(200, { trailer: 'x-sum' }).end('hello');
  else response.writeHead(200, { 'content-length': 5 }).end(request.method === 'HEAD' ? '' : 'hello');
});
upstream.server.on('upgrade', (_request, socket: Socket) => {
  socket.on('error', () => {});
  socket.once('data', () => socket.resetAndDestroy());
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello');
});
const edge = await startWorker(t);
await edge.applied(await edge.serve('shop', [host], [upstream.url]));

/** Node's `close` of a stream would end it first. */
const ways: Record<string, (stream: ClientHttp2Stream, abort: AbortController) => void> = {
  cancelled: (_, abort) => abort.abort(),
  'reset without an error': (stream) => stream.destroy(),
  'reset with an error': (stream) => stream.destroy(new Error('enough')),
  'lost with its session': ({ session }) => session!.destroy(),
};
for (const [how, breakOff] of Object.entries(ways)) {
  t.test(`an upload over HTTP/2 that is ${how} never looks complete to the upstream`, async (t) => {
    const session = connectEdgeH2(edge, host);
    session.on('error', () => {});
    const before = { ...uploads };
    const abort = new AbortController();
    const stream = session.request({ ':method': 'POST', ':path': '/upload' }, { signal: abort.signal });
    stream.on('error', () => {});
    stream.write('the first half');
    await waitFor(() => uploads.begun > before.begun, { what: 'the upload' });
    breakOff(stream, abort);
    await waitFor(() => uploads.over > before.over, { what: 'the end of it' });
    t.equal(uploads.complete, before.complete);
    session.destroy();
  });
}

const literal = (text: string) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);

/**
 * The types and flags of the frames of one answer, as `headers`, `data` or `data, end`. `fields`: names are their places in HPACK's table, or new
 * ones; whoever names a protocol goes on, and sends something as soon as something comes.
 */
async function framesOf(fields: readonly (readonly [number | string, string])[]): Promise<string[]> {
  const socket = connect({
    host: '127.0.0.1',
    port: edge.httpsPort,
    servername: host,
    ca: edge.root,
    ALPNProtocols: ['h2'],
  });
  await once(socket, 'secureConnect');
  // RFC 7541: literals that are not indexed.
  const head = Buffer.concat(
    fields.map(([name, value]) =>
      typeof name === 'number'
        ? Buffer.concat([Buffer.from([name]), literal(value)])
        : Buffer.concat([Buffer.from([0]), literal(name), literal(value)]),
    ),
  );
  const goesOn = fields.some(([name]) => name === ':protocol');
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  socket.write(Buffer.concat([Buffer.from([0, 0, head.length, 1, goesOn ? 4 : 5, 0, 0, 0, 1]), head]));
  const frames: string[] = [];
  let rest = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const [type, flags] = [rest[3]!, rest[4]!];
      const name = ['data', 'headers', undefined, 'reset'][type];
      const ends = name === 'reset' || (name !== undefined && (flags & 1) !== 0);
      if (name === 'reset') frames.push(`reset by ${rest.readUInt32BE(9)}`);
      else if (name !== undefined) frames.push(ends ? `${name}, end` : name);
      rest = rest.subarray(9 + rest.readUIntBE(0, 3));
      if (ends) return frames;
      if (goesOn && name === 'data') socket.write(Buffer.from([0, 0, 1, 0, 0, 0, 0, 0, 1, 0x78]));
    }
  }
  throw new Error(`the connection ended behind ${frames.join('; ')}`);
}

const [authority, method, path, scheme] = [1, 2, 4, 6];

function framesFor(name: 'GET' | 'HEAD', target: string): Promise<string[]> {
  return framesOf([
    [scheme, 'https'],
    [method, name],
    [path, target],
    [authority, host],
  ]);
}

t.test('an answer over HTTP/2 takes no more frames than it needs', async (t) => {
  t.same(await framesFor('GET', '/length'), ['headers', 'data, end'], 'the end is that of the last data');
  t.same(await framesFor('GET', '/chunked'), ['headers', 'data', 'data, end'], 'a trailer might have come');
  t.same(await framesFor('HEAD', '/length'), ['headers, end']);
  t.same(await framesFor('GET', '/empty'), ['headers, end'], '304');
  t.same(await framesFor('GET', '/.well-known/acme-challenge/x'), ['headers', 'data, end']);
});

t.test('a websocket over HTTP/2 whose upstream resets it is reset, and has no end before', async (t) => {
  const frames = await framesOf([
    [method, 'CONNECT'],
    [':protocol', 'websocket'],
    [scheme, 'https'],
    [path, '/'],
    [authority, host],
  ]);
  t.same(frames, ['headers', 'data', 'reset by 8'], 'CANCEL');
});

function startStream() {
  const stream = Object.assign(new EventEmitter(), { endAfterHeaders: true });
  const connection = { socket: {} as never, onStreamClosed: () => {} };
  const client = new ClientStream(connection, stream as never, { ':path': '/' }, [':path', '/']);
  return { stream, client };
}

t.test('a stream that is over leads to nothing of its exchange', async (t) => {
  const { stream, client } = startStream();
  let closed = 0;
  for (let i = 0; i < 2; i += 1)
    client.on('close', () => {
      closed += 1;
    });
  stream.emit('close');
  t.equal(closed, 2, 'whoever waited for the end was told');
  t.same(client.headers, {});
  t.same(client.rawHeaders, []);
  stream.emit('close');
  t.equal(closed, 2, 'and is not held any more');
});

t.test('a stream that ends while its request is being looked at still says what it asked for', async (t) => {
  const { stream, client } = startStream();
  stream.emit('close');
  t.equal(client.url, '/');
});
