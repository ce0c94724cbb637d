import { once } from 'node:events';
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import type { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { connect as connectTls, getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { freePort } from '@lockstep/testkit';
import t from 'tap';
import { fetchThrough, fetchThroughH2, openThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';

/** Writes a chunk so many times, as they are taken, and ends; tells how many bytes it has written. */
function writeAll(to: Writable, count: number, chunk: Buffer, told: (bytes: number) => void): void {
  let written = 0;
  const more = () => {
    while (written < count) {
      written += 1;
      told(written * chunk.length);
      if (!to.write(chunk)) return void to.once('drain', more);
    }
    to.end();
  };
  more();
}

/** Until nothing has moved while the edge served others. */
async function untilStill(
  { httpsPort: port, root }: { httpsPort: number; root: string },
  moved: () => number,
): Promise<void> {
  for (let before = -1; before !== moved(); ) {
    before = moved();
    for (let i = 0; i < 20; i += 1) await fetchThrough({ port, root, host, path: '/other' });
  }
}

t.test('a request reaches the upstream and its answer the client, over HTTP/1.1 and HTTP/2', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.end(
        JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }),
      );
    });
  });
  await edge.applied(await edge.serve('shop', [host], [url]));

  for (const fetch of [fetchThrough, fetchThroughH2]) {
    const answer = await fetch({
      port: edge.httpsPort,
      host,
      root: edge.root,
      path: '/a/b?c=d',
      method: 'POST',
      body: 'hello',
      headers: { 'x-forwarded-for': '6.6.6.6', 'x-request-id': 'mine', 'content-type': 'text/plain' },
    });
    t.equal(answer.status, 200);
    t.same(answer.headers['set-cookie'], ['a=1', 'b=2']);
    const seen = JSON.parse(answer.body);
    t.equal(seen.method, 'POST');
    t.equal(seen.url, '/a/b?c=d');
    t.equal(seen.body, 'hello');
    t.match(seen.headers.host, /^shop\.example\.com/);
    t.equal(seen.headers['x-forwarded-for'], '127.0.0.1', 'what the client claimed is replaced');
    t.equal(seen.headers['x-forwarded-proto'], 'https');
    t.match(seen.headers['x-forwarded-host'], /^shop\.example\.com/);
    t.equal(seen.headers['x-request-id'], 'mine');
  }
});

t.test('hop-by-hop headers and those that Connection names stay on their side', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (request, response) => {
    response.writeHead(200, { connection: 'x-secret-hop, keep-alive', 'x-secret-hop': '1', 'x-kept': '1' });
    response.end(JSON.stringify(request.headers));
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const answer = await fetchThrough({
    port: edge.httpsPort,
    host,
    root: edge.root,
    method: 'POST',
    body: 'x',
    headers: {
      connection: 'x-hop, close',
      'x-hop': '1',
      te: 'gzip, trailers',
      'proxy-authorization': 'Basic x',
      'x-end-to-end': '1',
    },
  });
  const seen = JSON.parse(answer.body);
  for (const name of ['x-hop', 'proxy-authorization']) t.notOk(name in seen, name);
  t.equal(seen.te, 'trailers', 'but that trailers are wanted is told');
  t.equal(seen['x-end-to-end'], '1');
  t.notOk('x-secret-hop' in answer.headers);
  t.equal(answer.headers['x-kept'], '1');
});

t.test(
  'the longest path prefix wins, at segment boundaries, and a wildcard stands for one label',
  async (t) => {
    const edge = await startWorker(t);
    const named = async (name: string) =>
      (await startUpstream(t, (_request, response) => response.end(name))).url;
    await edge.serve('all', [host], [await named('all')]);
    await edge.serve('wild', ['*.example.com'], [await named('wild')]);
    await edge.applied(
      await edge.commit(edge.routeChange('api', [host], [await named('api')], ['/api', '/x/y'])),
    );
    const get = async (at: string, path: string) =>
      (await fetchThrough({ port: edge.httpsPort, host: at, root: edge.root, path })).body;
    t.equal(await get(host, '/'), 'all');
    t.equal(await get(host, '/api'), 'api');
    t.equal(await get(host, '/api?q'), 'api');
    t.equal(await get(host, '/api/deep'), 'api');
    t.equal(await get(host, '/apis'), 'all');
    t.equal(await get(host, '/x'), 'all');
    t.equal(await get('other.example.com', '/'), 'wild');
  },
);

t.test('a known certificate without a route gets 404, as a problem document with a request id', async (t) => {
  const edge = await startWorker(t);
  await edge.applied(
    await edge.commit({
      op: 'put',
      kind: 'certificate',
      id: host,
      value: await edge.certificateRecord(host),
    }),
  );
  for (const fetch of [fetchThrough, fetchThroughH2]) {
    const answer = await fetch({ port: edge.httpsPort, host, root: edge.root });
    t.equal(answer.status, 404);
    t.equal(answer.headers['content-type'], 'application/problem+json');
    const problem = JSON.parse(answer.body);
    t.equal(problem.code, 'no_route');
    t.equal(problem.instance, answer.headers['x-request-id']);
  }
});

t.test('502 when no upstream can be dialled, and the next one is tried with the body whole', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, async (request, response) => response.end(await text(request)));
  const dead = `http://127.0.0.1:${await freePort()}`;
  await edge.serve('dead', ['dead.example.com'], [dead]);
  await edge.applied(await edge.serve('half', [host], [dead, url]));
  const down = await fetchThrough({ port: edge.httpsPort, host: 'dead.example.com', root: edge.root });
  t.equal(down.status, 502);
  t.equal(JSON.parse(down.body).code, 'upstream_unreachable');
  t.notMatch(down.body, /ECONN|at .*\.ts/);
  for (let i = 0; i < 4; i += 1) {
    const answer = await fetchThrough({
      port: edge.httpsPort,
      host,
      root: edge.root,
      method: 'POST',
      body: 'whole',
    });
    t.equal(answer.body, 'whole');
  }
});

t.test('502 without a second try when an upstream breaks off before it answers', async (t) => {
  const edge = await startWorker(t);
  let requests = 0;
  const one = await startUpstream(t, (request) => {
    requests += 1;
    request.socket.destroy();
  });
  const two = await startUpstream(t, (request) => {
    requests += 1;
    request.socket.destroy();
  });
  await edge.applied(await edge.serve('shop', [host], [one.url, two.url]));
  const answer = await fetchThrough({
    port: edge.httpsPort,
    host,
    root: edge.root,
    method: 'POST',
    body: 'x',
  });
  t.equal(answer.status, 502);
  t.equal(requests, 1);
});

t.test('504 when the upstream does not answer in time', async (t) => {
  const edge = await startWorker(t);
  await edge.commit(edge.settingsChange(null, { timeouts: { firstByteMs: 100 } }));
  const { url } = await startUpstream(t, () => {});
  await edge.applied(await edge.serve('shop', [host], [url]));
  const answer = await fetchThrough({ port: edge.httpsPort, host, root: edge.root });
  t.equal(answer.status, 504);
  t.equal(JSON.parse(answer.body).code, 'upstream_timeout');
});

t.test('a response that breaks off reaches the client as an error, not as its end', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (_request, response) => {
    response.write('half');
    setImmediate(() => response.destroy());
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  await t.rejects(fetchThrough({ port: edge.httpsPort, host, root: edge.root }), 'HTTP/1.1');
  await t.rejects(fetchThroughH2({ port: edge.httpsPort, host, root: edge.root }), 'HTTP/2');
});

t.test('a client that goes away ends the request at the upstream', async (t) => {
  const edge = await startWorker(t);
  const gone = Promise.withResolvers<void>();
  const { url } = await startUpstream(t, (_request, response) => {
    response.write('first');
    response.on('close', () => gone.resolve());
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const response = await openThrough({ port: edge.httpsPort, host, root: edge.root });
  response.on('error', () => {});
  response.destroy();
  await gone.promise;
  t.pass('the upstream saw it');
});

t.test('a client that reads slowly holds the upstream back', async (t) => {
  const edge = await startWorker(t);
  const total = 64 * 1024 * 1024;
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  let sent = 0;
  const { url } = await startUpstream(t, (request, response) => {
    if (request.url === '/other') response.end();
    else
      writeAll(response, total / chunk.length, chunk, (bytes) => {
        sent = bytes;
      });
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const response = await openThrough({ port: edge.httpsPort, host, root: edge.root });
  response.pause();
  await untilStill(edge, () => sent);
  t.ok(sent < total / 2, `${sent} of ${total} bytes taken while nobody reads`);
  let received = 0;
  for await (const part of response) received += (part as Buffer).length;
  t.equal(received, total);
});

t.test('an upstream that reads slowly holds the client back', async (t) => {
  const edge = await startWorker(t);
  const total = 64 * 1024 * 1024;
  const arrived = Promise.withResolvers<() => void>();
  const { url } = await startUpstream(t, (request, response) => {
    if (request.url === '/other') return void response.end();
    request.pause();
    arrived.resolve(() => {
      let received = 0;
      request.on('data', (part) => {
        received += part.length;
      });
      request.on('end', () => response.end(String(received)));
      request.resume();
    });
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const upload = httpsRequest({
    host: '127.0.0.1',
    port: edge.httpsPort,
    servername: host,
    ca: edge.root,
    method: 'PUT',
    headers: { host },
    agent: false,
  });
  const answered = once(upload, 'response');
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  let sent = 0;
  writeAll(upload, total / chunk.length, chunk, (bytes) => {
    sent = bytes;
  });
  const release = await arrived.promise;
  await untilStill(edge, () => sent);
  t.ok(sent < total / 2, `${sent} of ${total} bytes taken while nobody reads`);
  release();
  const [response] = await answered;
  t.equal(await text(response), String(total));
});

t.test('an event stream is delivered event by event', async (t) => {
  const edge = await startWorker(t);
  const opened = Promise.withResolvers<{ write(text: string): void }>();
  const { url } = await startUpstream(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    opened.resolve(response);
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const response = await openThrough({ port: edge.httpsPort, host, root: edge.root });
  const upstream = await opened.promise;
  for (const event of ['one', 'two']) {
    upstream.write(event);
    const [chunk] = await once(response, 'data');
    t.equal(String(chunk), event);
  }
  response.destroy();
});

t.test('HEAD, 204 and 304 keep their headers and have no body', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (request, response) => {
    const status = Number(request.url!.slice(1));
    response.writeHead(status, status === 200 ? { 'content-length': 5, etag: 'e' } : { etag: 'e' });
    response.end(status === 200 ? 'hello' : undefined);
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  const at = { port: edge.httpsPort, host, root: edge.root };
  for (const fetch of [fetchThrough, fetchThroughH2]) {
    const head = await fetch({ ...at, path: '/200', method: 'HEAD' });
    t.match(head, { status: 200, body: '', headers: { 'content-length': '5', etag: 'e' } });
    t.match(await fetch({ ...at, path: '/204' }), { status: 204, body: '', headers: { etag: 'e' } });
    t.match(await fetch({ ...at, path: '/304' }), { status: 304, body: '', headers: { etag: 'e' } });
  }
});

/** What a raw client on a TLS connection gets for its bytes, up to the end of the connection. */
async function exchangeRaw(edge: { httpsPort: number; root: string }, bytes: string): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root });
  await once(socket, 'secureConnect');
  socket.write(bytes);
  return text(socket);
}

t.test('messages that two parsers could read differently are refused', async (t) => {
  const edge = await startWorker(t);
  let requests = 0;
  const { url } = await startUpstream(t, (_request, response) => {
    requests += 1;
    response.end();
  });
  await edge.applied(await edge.serve('shop', [host], [url]));
  for (const lines of [
    ['POST / HTTP/1.1', `Host: ${host}`, 'Content-Length: 5', 'Transfer-Encoding: chunked', '', '0', '', ''],
    ['POST / HTTP/1.1', `Host: ${host}`, 'Content-Length: 5', 'Content-Length: 6', '', 'hello!'],
    ['POST / HTTP/1.1', `Host: ${host}`, 'Transfer-Encoding: xchunked', '', '0', '', ''],
    ['GET / HTTP/1.1', `Host: ${host}`, 'Host: other.example.com', 'Connection: close', '', ''],
    ['GET / HTTP/1.1', `Host : ${host}`, '', ''],
    ['GET / HTTP/1.1', 'Connection: close', '', ''],
  ]) {
    t.match(await exchangeRaw(edge, lines.join('\r\n')), /^HTTP\/1\.1 400 /, lines.join(' | '));
  }
  t.equal(requests, 0);
});

t.test(
  'a body the upstream did not wait for does not disturb the next request on the connection',
  async (t) => {
    const edge = await startWorker(t);
    const { url } = await startUpstream(t, (request, response) => {
      if (request.method === 'POST') response.writeHead(413).end('too large');
      else response.end('next');
    });
    await edge.applied(await edge.serve('shop', [host], [url]));
    const socket = connectTls({ host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root });
    await once(socket, 'secureConnect');
    const body = 'x'.repeat(3_000_000);
    socket.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    const received = await text(socket);
    t.match(received, /413 /);
    t.match(received, /next$/);
  },
);

t.test('a TCP server that speaks no HTTP is a 502', async (t) => {
  const edge = await startWorker(t);
  const server = createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0-x\r\n')).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  t.teardown(() => server.close());
  await edge.applied(
    await edge.serve('shop', [host], [`http://127.0.0.1:${(server.address() as AddressInfo).port}`]),
  );
  t.equal((await fetchThrough({ port: edge.httpsPort, host, root: edge.root })).status, 502);
});

t.test('an https upstream proves the name in its own URL, whatever host the client asked for', async (t) => {
  const edge = await startWorker(t);
  const keyPem = await generateKeyPem();
  const authority = await createAuthority();
  const issue = (name: string) =>
    issueCertificate({ authority, host: name, keyPem, lifetimeMs: 3_600_000, now: Date.now() });
  setDefaultCACertificates([authority.certificate]);
  t.teardown(() => setDefaultCACertificates(getCACertificates('bundled')));
  const ports: number[] = [];
  for (const name of ['localhost', 'elsewhere.example.com']) {
    const server = createHttpsServer({ key: keyPem, cert: await issue(name) }, (request, response) =>
      response.end(
        `${request.headers.host} ${(request.socket as TLSSocket & { servername: string }).servername}`,
      ),
    ).listen(0);
    await once(server, 'listening');
    t.teardown(() => {
      server.close();
      server.closeAllConnections();
    });
    ports.push((server.address() as AddressInfo).port);
  }
  await edge.serve('good', [host], [`https://localhost:${ports[0]}`]);
  await edge.applied(await edge.serve('bad', ['bad.example.com'], [`https://localhost:${ports[1]}`]));
  const good = await fetchThrough({ port: edge.httpsPort, host, root: edge.root });
  t.match(good, { status: 200, body: `${host} localhost` });
  const bad = await fetchThrough({ port: edge.httpsPort, host: 'bad.example.com', root: edge.root });
  t.equal(bad.status, 502);
});
