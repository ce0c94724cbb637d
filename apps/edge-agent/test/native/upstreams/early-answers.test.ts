import { once } from 'node:events';
import { createServer as createHttp2Server, createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { createServer as createTlsServer } from 'node:tls';
import type { Upstream } from '@lockstep/contract';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import t, { type Test } from 'tap';
import { connectEdgeH2 } from '../../connect-edge-h2.ts';
import { type FetchOptions, fetchThrough, fetchThroughH2 } from '../../fetch-through.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const edge = await startWorker(t);
const at: FetchOptions = { port: edge.httpsPort, host, root: edge.root };
const key = await generateKeyPem();
const authority = await createAuthority();
const cert = await issueCertificate({ authority, host, keyPem: key, lifetimeMs: 3_600_000, now: Date.now() });

const large = 'x'.repeat(3_000_000);
const why = `too large: ${'y'.repeat(10_000)}`;

async function listen(t: Test, server: Server, sockets = new Set<Socket>()): Promise<number> {
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** Answers once it has read of the head, and closes over what it was still sent: its machine then resets the connection. */
function answerAndClose(framing: 'length' | 'chunked') {
  return (socket: Socket): void => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.pause();
      const head = 'HTTP/1.1 413 Too Large\r\nconnection: close\r\n';
      const body =
        framing === 'length'
          ? `content-length: ${why.length}\r\n\r\n${why}`
          : `transfer-encoding: chunked\r\n\r\n${why.length.toString(16)}\r\n${why}\r\n0\r\n\r\n`;
      socket.write(head + body, () => socket.destroy());
    });
  };
}

async function uploads(t: Test, upstream: Upstream): Promise<void> {
  await edge.applied(await edge.serve('shop', [host], [upstream]));
  for (const [how, fetch, headers] of [
    ['a length', fetchThrough, {}],
    ['chunks', fetchThrough, { 'transfer-encoding': 'chunked' }],
    ['HTTP/2', fetchThroughH2, {}],
  ] as const) {
    const answer = await fetch({ ...at, method: 'POST', body: large, headers });
    t.equal(answer.status, 413, how);
    t.ok(answer.body === why, `the whole of what it said, to a body with ${how}`);
  }
}

for (const framing of ['length', 'chunked'] as const) {
  t.test(`the answer of an upstream that closes over the rest of a body arrives (${framing})`, async (t) => {
    const port = await listen(t, createServer(answerAndClose(framing)));
    await uploads(t, { url: `http://127.0.0.1:${port}` });
  });

  t.test(`and of one over TLS (${framing})`, async (t) => {
    const server = createTlsServer({ key, cert }, answerAndClose(framing));
    const port = await listen(t, server);
    await uploads(t, { url: `https://127.0.0.1:${port}`, tls: { verify: false } });
  });
}

for (const protocol of ['h2c', 'h2'] as const) {
  for (const end of ['stream', 'session', 'connection'] as const) {
    t.test(`and of one over ${protocol} that ends the ${end}`, async (t) => {
      const sockets = new Set<Socket>();
      const server = protocol === 'h2' ? createSecureServer({ key, cert }) : createHttp2Server();
      server.on('session', (session) => session.on('error', () => {}));
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.on('error', () => {});
        stream.respond({ ':status': 413 });
        // RFC 9113, section 8.1: the answer is complete, and the client may stop.
        stream.end(why, () => {
          if (end === 'stream') stream.close(0);
          else if (end === 'session') stream.session?.destroy(undefined, 0);
          else for (const socket of sockets) socket.destroy();
        });
      });
      const port = await listen(t, server as unknown as Server, sockets);
      const secure = protocol === 'h2';
      await uploads(t, {
        url: `${secure ? 'https' : 'http'}://127.0.0.1:${port}`,
        protocol,
        ...(secure && { tls: { verify: false } }),
      });
    });
  }
}

t.test('an answer over HTTP/2 that is read slowly survives what is still sent of the body', async (t) => {
  const body = 'z'.repeat(200_000);
  const server = createHttp2Server();
  server.on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {}).respond();
    if (headers[':path'] === '/next') stream.end();
    else stream.end(body, () => stream.close(0));
  });
  const port = await listen(t, server as unknown as Server);
  const upstream: Upstream = { url: `http://127.0.0.1:${port}`, protocol: 'h2c' };
  await edge.applied(await edge.serve('shop', [host], [upstream]));
  const session = connectEdgeH2(edge, host);
  t.teardown(() => session.destroy());
  const stream = session.request({ ':path': '/slow', ':method': 'POST' });
  stream.on('error', (error) => t.fail(error));
  await once(stream, 'readable');
  const next = () => once(session.request({ ':path': '/next' }).resume(), 'end');
  await next(); // The reset is known.
  stream.write('more of the body');
  await next();
  t.equal((await text(stream)).length, body.length);
});

t.test(
  'an expectation that is not met ends with the answer, and a body that was not waited for with it',
  async (t) => {
    const port = await listen(t, createServer(answerAndClose('length')));
    await edge.applied(await edge.serve('shop', [host], [{ url: `http://127.0.0.1:${port}` }]));
    const headers = { expect: '100-continue' };
    const answer = await fetchThrough({ ...at, method: 'POST', body: large, headers });
    t.equal(answer.status, 413);
    t.ok(answer.body === why);
  },
);
