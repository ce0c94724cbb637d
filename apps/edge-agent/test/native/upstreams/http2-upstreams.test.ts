import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import {
  constants,
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createHttpsServer, request } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { RouteHealth } from '@lockstep/contract/schemas';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import { connectEdgeH2 } from '../../connect-edge-h2.ts';
import { fetchThrough, fetchThroughH2, openThrough } from '../../fetch-through.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const edge = await startWorker(t);
const at = { port: edge.httpsPort, host, root: edge.root };

type OnStream = (stream: ServerHttp2Stream, headers: Record<string, string>, raw: string[]) => void;

async function serve(
  t: Test,
  server: Http2Server,
  more: object,
  onStream: OnStream,
  route: object = {},
): Promise<{ sessions: Set<ServerHttp2Session>; made: () => number }> {
  const sessions = new Set<ServerHttp2Session>();
  let made = 0;
  server.on('session', (session) => {
    made += 1;
    sessions.add(session);
    session.on('error', () => {});
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers, _flags, raw) => {
    stream.on('error', () => {});
    onStream(stream as ServerHttp2Stream, headers as Record<string, string>, raw as unknown as string[]);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  const { port } = server.address() as AddressInfo;
  const url = `${'setSecureContext' in server ? 'https' : 'http'}://127.0.0.1:${port}`;
  await edge.applied(await edge.serve('shop', [host], [{ url, protocol: 'h2c', ...more }], ['/'], route));
  return { sessions, made: () => made };
}

const failures = () => edge.worker.figures().failures;
const get = async (path = '/') => (await fetchThrough({ ...at, path })).body;

t.test(
  'an upstream of HTTP/2 is sent what one of HTTP/1.1 is, and its answers pass to both protocols',
  async (t) => {
    const seen: string[][] = [];
    await serve(t, createServer(), {}, (stream, _headers, raw) => {
      seen.push(raw);
      stream.additionalHeaders({ ':status': 103, link: '</a.css>' });
      stream.respond([':status', '200', 'set-cookie', 'a=1', 'set-cookie', 'b=2', 'x-up', '1'] as never);
      let body = '';
      stream.on('data', (chunk) => {
        body += chunk;
      });
      stream.on('end', () => stream.end(`got ${body.length}`));
    });
    for (const fetch of [fetchThrough, fetchThroughH2]) {
      const body = 'x'.repeat(300_000);
      const answer = await fetch({
        ...at,
        path: '/a?b',
        method: 'POST',
        body,
        headers: { 'x-a': '1', cookie: 'c=d' },
      });
      t.match(answer, {
        status: 200,
        body: 'got 300000',
        headers: { 'x-up': '1', 'set-cookie': ['a=1', 'b=2'] },
      });
      t.match(seen.at(-1)!.slice(0, 8), [
        ':method',
        'POST',
        ':scheme',
        'http',
        ':path',
        '/a?b',
        ':authority',
        new RegExp(`^${host}`),
      ]);
      t.ok(seen.at(-1)!.join().includes('x-a,1') && seen.at(-1)!.join().includes('cookie,c=d'));
      t.equal((await fetch({ ...at, method: 'HEAD' })).status, 200);
    }
    const session = connectEdgeH2(edge, host);
    const stream = session.request({ ':path': '/' });
    const [interim] = await once(stream, 'headers');
    t.match(interim, { ':status': 103, link: '</a.css>' });
    stream.resume();
    await once(stream, 'end');
    session.close();
  },
);

t.test('what an upstream of HTTP/2 refuses as it goes down is sent to the next one', async (t) => {
  const next = createServer((_, response) => response.end('the next'));
  next.listen(0, '127.0.0.1');
  await once(next, 'listening');
  t.teardown(() => next.close());
  const server = createServer();
  const bodies: number[] = [];
  const { sessions } = await serve(t, server, {}, (stream, headers) => {
    if (headers[':path'] === '/first') {
      stream.respond({ ':status': 200 });
      stream.end('first');
      return;
    }
    stream.on('data', (chunk) => bodies.push(chunk.length));
    server.close();
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  });
  const url = (one: Http2Server) => `http://127.0.0.1:${(one.address() as AddressInfo).port}`;
  const upstreams = [server, next].map((one) => ({ url: url(one), protocol: 'h2c' as const }));
  await edge.applied(await edge.serve('shop', [host], upstreams, ['/'], { balance: { policy: 'first' } }));
  t.equal(await get('/first'), 'first');
  t.equal(await get('/second'), 'the next', 'though the route asks for no repeats');
  for (const session of sessions) session.destroy();
});

t.test('over TLS an upstream has to agree on HTTP/2, and is proven as any other', async (t) => {
  const authority = await createAuthority();
  const key = await generateKeyPem();
  const now = Date.now();
  const cert = await issueCertificate({
    authority,
    host: 'up.example.com',
    keyPem: key,
    lifetimeMs: 3_600_000,
    now,
  });
  const tls = { ca: authority.certificate, serverName: 'up.example.com' };
  const { made } = await serve(
    t,
    createSecureServer({ key, cert }),
    { protocol: 'h2', tls },
    (stream, headers) => {
      stream.respond();
      stream.end(`${headers[':scheme']} ${headers[':authority']}`);
    },
  );
  t.same(
    await Promise.all([get(), get(), get()]),
    Array.from({ length: 3 }, () => `https ${host}`),
  );
  t.equal(made(), 1);
  await serve(
    t,
    createHttpsServer({ key, cert }) as unknown as Http2Server,
    { protocol: 'h2', tls },
    () => {},
  );
  t.equal((await fetchThrough(at)).status, 502);
  t.equal(failures().upstream_http2_invalid, 1);
});

t.test(
  'one session carries many exchanges, as many as the upstream takes, and further ones wait or get another',
  async (t) => {
    const held: ServerHttp2Stream[] = [];
    const server = createServer({ settings: { maxConcurrentStreams: 5 } });
    const { made } = await serve(t, server, {}, (stream) => void held.push(stream));
    const first = get();
    await waitFor(async () => held.length === 1, { what: 'the first request' });
    const answers = [first, ...Array.from({ length: 11 }, () => get())];
    await waitFor(async () => held.length === 12, { what: 'all requests' });
    t.equal(made(), 3);
    for (const stream of held) {
      stream.respond();
      stream.end('ok');
    }
    t.same(new Set(await Promise.all(answers)), new Set(['ok']));

    held.length = 0;
    const limited = { limits: { connections: 1, pending: 1 } };
    const { url } = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
    await edge.applied(await edge.serve('shop', [host], [{ url, protocol: 'h2c' }], ['/'], limited));
    const opening = get();
    await waitFor(async () => held.length === 1, { what: 'the settings of the upstream' });
    const more = [opening, ...Array.from({ length: 5 }, () => get())];
    await waitFor(async () => edge.worker.figures().upstreams.pending === 1, { what: 'one to wait' });
    t.equal((await fetchThrough(at)).status, 503);
    for (let i = 0; i < 6; i += 1) {
      await waitFor(async () => held.length > i, { what: 'the next to come' });
      held[i]!.respond();
      held[i]!.end('ok');
    }
    t.same(new Set(await Promise.all(more)), new Set(['ok']));
  },
);

t.test('a session that is told to go takes no more, and what it has ends as it would have', async (t) => {
  const held: ServerHttp2Stream[] = [];
  const { made } = await serve(t, createServer(), {}, (stream, headers) => {
    stream.respond();
    stream.write('begun ');
    if (headers[':path'] === '/held') held.push(stream);
    else stream.end('done');
  });
  const first = get('/held');
  await waitFor(async () => held.length === 1, { what: 'the first request' });
  held[0]!.session!.goaway();
  await waitFor(async () => (await get()) === 'begun done' && made() === 2, { what: 'another session' });
  held[0]!.end('and ended');
  t.equal(await first, 'begun and ended');
});

t.test(
  'what the upstream did not process is sent once more, whatever it is; what it reset is not',
  async (t) => {
    let refuse = true;
    let count = 0;
    await serve(t, createServer(), {}, (stream, headers) => {
      count += 1;
      if (headers[':path'] === '/reset') stream.close(0x2);
      else if (refuse) stream.close(0x7);
      else {
        stream.respond();
        stream.end('ok');
      }
      refuse = !refuse;
    });
    t.equal((await fetchThrough({ ...at, method: 'POST' })).body, 'ok');
    t.equal(count, 2);
    const before = failures().upstream_reset ?? 0;
    t.equal((await fetchThrough({ ...at, method: 'POST', path: '/reset' })).status, 502);
    t.equal(count, 3);
    t.equal(failures().upstream_reset, before + 1);
  },
);

t.test('an upload that its client breaks off is reset, and has no end before', async (t) => {
  const data = 0;
  const reset = 3;
  const settings = 4;
  const frames: string[] = [];
  let began = () => {};
  const begun = new Promise<void>((resolve) => {
    began = resolve;
  });
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    socket.write(Buffer.from([0, 0, 0, settings, 0, 0, 0, 0, 0]));
    let rest = Buffer.alloc(0);
    let preface = 24;
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      if (rest.length < preface) return;
      rest = rest.subarray(preface);
      preface = 0;
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const [type, flags] = [rest[3]!, rest[4]!];
        if (type === settings && flags === 0) socket.write(Buffer.from([0, 0, 0, settings, 1, 0, 0, 0, 0]));
        if (type === data) frames.push((flags & 1) === 0 ? 'data' : 'data, end');
        if (type === reset) frames.push(`reset by ${rest.readUInt32BE(9)}`);
        if (type === data) began();
        rest = rest.subarray(9 + rest.readUIntBE(0, 3));
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await edge.applied(await edge.serve('shop', [host], [{ url, protocol: 'h2c' }]));
  const upload = request({
    ...{ host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root, method: 'POST' },
    headers: { host, 'transfer-encoding': 'chunked' },
  });
  upload.on('error', () => {});
  upload.write('half');
  await begun;
  upload.destroy();
  await waitFor(() => frames.length > 1, { what: 'the end of it' });
  t.same(frames, ['data', `reset by ${constants.NGHTTP2_CANCEL}`]);
});

t.test('an answer that breaks off never looks complete', async (t) => {
  const streams: ServerHttp2Stream[] = [];
  const server = createServer();
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  await serve(t, server, {}, (stream) => {
    streams.push(stream);
    stream.respond();
    stream.write('half');
  });
  for (const end of [
    (stream: ServerHttp2Stream) => stream.destroy(new Error('for the test')),
    () => [...sockets].at(-1)!.destroy(),
  ]) {
    const answer = await openThrough(at);
    await once(answer, 'data');
    end(streams.at(-1)!);
    await t.rejects(once(answer.resume(), 'end'), { code: 'ECONNRESET' });
  }
});

t.test(
  'a client that goes ends its stream alone, and an idle upstream is waited for no longer than is said',
  async (t) => {
    const streams: ServerHttp2Stream[] = [];
    const { sessions } = await serve(t, createServer(), {}, (stream) => {
      streams.push(stream);
      stream.respond();
      stream.write('half');
    });
    const [one, other] = [await openThrough(at), await openThrough(at)];
    t.equal(sessions.size, 1);
    one.on('error', () => {}).destroy();
    await once(streams[0]!, 'close');
    streams[1]!.end('whole');
    let body = '';
    for await (const chunk of other) body += chunk;
    t.equal(body, 'halfwhole');
  },
);

t.test('an answer goes no faster than its client takes it', async (t) => {
  let sent = 0;
  await serve(t, createServer(), {}, (stream) => {
    stream.respond();
    const more = () => {
      while (sent < 64 * 1_048_576 && !stream.destroyed) {
        sent += 65_536;
        if (!stream.write(Buffer.alloc(65_536))) return;
      }
      stream.end();
    };
    stream.on('drain', more);
    more();
  });
  const session = connectEdgeH2(edge, host);
  const slow = session.request({ ':path': '/' });
  slow.pause();
  await once(slow, 'response');
  let last = -1;
  await waitFor(
    () => {
      const still = sent === last;
      last = sent;
      return still;
    },
    { what: 'the upstream to be held up', intervalMs: 100 },
  );
  t.ok(sent < 16 * 1_048_576, `${sent} bytes`);
  let received = 0;
  slow.on('data', (chunk) => {
    received += chunk.length;
  });
  slow.resume();
  await once(slow, 'end');
  t.equal(received, 64 * 1_048_576);
  session.close();
});

t.test('a switch to another protocol goes over HTTP/1.1', async (t) => {
  const server = createServer();
  const http1 = createHttpServer();
  const sockets = new WebSocketServer({ server: http1 });
  sockets.on('connection', (socket) => socket.send('hello'));
  // One port for both, told apart by their first byte: P of the preface, G of GET.
  const both = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (chunk: Buffer) => {
      socket.pause();
      socket.unshift(chunk);
      (chunk[0] === 0x50 ? server : http1).emit('connection', socket);
      process.nextTick(() => socket.resume());
    });
  }).listen(0, '127.0.0.1');
  await once(both, 'listening');
  t.teardown(() => both.close());
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond();
    stream.end('h2');
  });
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  const url = `http://127.0.0.1:${(both.address() as AddressInfo).port}`;
  await edge.applied(await edge.serve('shop', [host], [{ url, protocol: 'h2c' }]));
  t.equal(await get(), 'h2');
  const socket = new WebSocket(`wss://127.0.0.1:${edge.httpsPort}/`, {
    headers: { host },
    servername: host,
    ca: edge.root,
  } as ClientOptions);
  const [message] = await once(socket, 'message');
  t.equal(String(message), 'hello');
  socket.terminate();
  for (const session of sessions) session.destroy();
});

t.test('an upstream that speaks something else is told by its cause', async (t) => {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await edge.applied(await edge.serve('shop', [host], [{ url, protocol: 'h2c' }]));
  const before = failures().upstream_http2_invalid ?? 0;
  t.equal((await fetchThrough(at)).status, 502);
  t.equal(failures().upstream_http2_invalid, before + 1);
  await edge.applied(await edge.serve('shop', [host], [{ url: 'http://127.0.0.1:1', protocol: 'h2c' }]));
  t.equal((await fetchThrough(at)).status, 502);
});

t.test('Expect passes to an upstream of HTTP/2, which decides whether the body comes', async (t) => {
  let received = 0;
  await serve(t, createServer(), {}, (stream, headers) => {
    t.equal(headers.expect, '100-continue');
    t.equal(received, 0, 'the head comes before the body');
    if (headers[':path'] === '/refused') {
      stream.respond({ ':status': 413 });
      stream.end('no');
      return;
    }
    stream.additionalHeaders({ ':status': 100 });
    stream.on('data', (chunk) => {
      received += chunk.length;
    });
    stream.on('end', () => {
      stream.respond();
      stream.end('taken');
    });
  });
  const options = { host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root };
  const headers = { host, expect: '100-continue', 'content-length': '5' };
  const sent = request({ ...options, method: 'POST', headers });
  sent.flushHeaders();
  await once(sent, 'continue');
  sent.end('hello');
  const [answer] = await once(sent, 'response');
  t.equal(answer.statusCode, 200);
  t.equal(received, 5);
  answer.resume();
  received = 0;
  // Node ends the process over such a stream where it is closed in the wrong moment.
  const announced = { host, expect: '100-continue', 'transfer-encoding': 'chunked', trailer: 'x-sum' };
  const refused = request({ ...options, path: '/refused', method: 'POST', headers: announced });
  refused.on('continue', () => t.fail('it was not to be sent'));
  refused.flushHeaders();
  const [no] = await once(refused, 'response');
  t.equal(no.statusCode, 413);
  refused.on('error', () => {}).destroy();
});

t.test('a trailer that is announced passes to an upstream of HTTP/2, and its own passes back', async (t) => {
  const received: unknown[] = [];
  await serve(t, createServer(), {}, (stream) => {
    stream.on('trailers', (trailer) => received.push(trailer['x-sum']));
    stream.resume();
    stream.on('end', () => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-back': '1' }));
      stream.end('ok');
    });
  });
  const options = { host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root };
  const headers = { host, trailer: 'X-Sum', 'transfer-encoding': 'chunked' };
  const sent = request({ ...options, method: 'POST', headers });
  sent.addTrailers({ 'X-Sum': '42' });
  sent.end('hello');
  const [answer] = await once(sent, 'response');
  await once(answer.resume(), 'end');
  t.equal(answer.trailers['x-back'], '1');
  const session = connectEdgeH2(edge, host);
  const stream = session.request({ ':method': 'POST', trailer: 'x-sum' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '43' }));
  stream.end('hello');
  const [back] = await once(stream.resume(), 'trailers');
  t.equal(back['x-back'], '1');
  session.close();
  t.same(received, ['42', '43']);
});

t.test('fields that a client or an upstream repeats pass as over HTTP/1.1', async (t) => {
  let seen: string[] = [];
  await serve(t, createServer({ strictSingleValueFields: false } as object), {}, (stream, _headers, raw) => {
    seen = raw;
    stream.respond([':status', '200', 'user-agent', 'one', 'user-agent', 'two'] as never);
    stream.end();
  });
  const names = ['User-Agent', 'If-None-Match', 'Range', 'Authorization', 'Content-Language'];
  for (const fetch of [fetchThrough, fetchThroughH2]) {
    const headers = fetch === fetchThrough ? Object.fromEntries(names.map((name) => [name, ['1', '2']])) : {};
    const answer = await fetch({ ...at, headers });
    t.match([answer.status, answer.headers['user-agent']], [200, /^one/]);
    for (const name of Object.keys(headers))
      t.equal(seen.filter((text) => text === name.toLowerCase()).length, 2, name);
  }
});

t.test('nobody makes an upstream of HTTP/2 unhealthy by asking it for another protocol', async (t) => {
  const health = RouteHealth.parse({ passive: { failures: 2 }, noneHealthy: 'refuse' });
  await serve(
    t,
    createServer(),
    {},
    (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('well');
    },
    { health },
  );
  const headers = { connection: 'upgrade', upgrade: 'other' };
  for (let i = 0; i < 3; i += 1) t.equal((await fetchThrough({ ...at, headers })).status, 502);
  t.equal(await get(), 'well');
});
