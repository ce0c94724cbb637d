import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { fetchPlain } from '../../fetch-plain.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const token = 'evaGxfADs6pSRb2LAv9IZf17Dt3juxGJyPCt92wr-oA';
const challenge = {
  host: 'new.example.com',
  token,
  keyAuthorization: `${token}.thumb`,
  createdAt: '2026-11-24T00:00:00Z',
};

t.test(
  'any pending http-01 challenge is answered, also for a host without a route, until it is removed',
  async (t) => {
    const edge = await startWorker(t);
    await edge.applied(
      await edge.commit({
        op: 'put',
        kind: 'challenge',
        id: token,
        value: { ...challenge, type: 'http-01' },
      }),
    );
    const path = `/.well-known/acme-challenge/${token}`;
    const answer = await fetchPlain(edge.httpPort, path, 'new.example.com');
    t.match(answer, {
      status: 200,
      body: `${token}.thumb`,
      headers: { 'content-type': 'application/octet-stream' },
    });
    t.equal((await fetchPlain(edge.httpPort, `${path}x`, 'new.example.com')).status, 404);
    await edge.applied(await edge.commit({ op: 'delete', kind: 'challenge', id: token }));
    t.equal((await fetchPlain(edge.httpPort, path, 'new.example.com')).status, 404);
  },
);

t.test('a tls-alpn-01 challenge is not answered over HTTP', async (t) => {
  const edge = await startWorker(t);
  await edge.applied(
    await edge.commit({
      op: 'put',
      kind: 'challenge',
      id: token,
      value: { ...challenge, type: 'tls-alpn-01' },
    }),
  );
  const answer = await fetchPlain(edge.httpPort, `/.well-known/acme-challenge/${token}`, 'new.example.com');
  t.equal(answer.status, 404);
});

t.test('hosts that are served are sent to https with path and query, others get 404', async (t) => {
  const edge = await startWorker(t);
  await edge.serve('shop', ['shop.example.com'], ['http://127.0.0.1:1']);
  await edge.applied(await edge.serve('wild', ['*.example.org'], ['http://127.0.0.1:1']));
  const to = async (host: string, path: string) => {
    const answer = await fetchPlain(edge.httpPort, path, host);
    return answer.status === 308 ? answer.headers.location : answer.status;
  };
  const port = edge.httpsPort;
  t.equal(await to(`Shop.Example.com:${edge.httpPort}`, '/a?b=c'), `https://shop.example.com:${port}/a?b=c`);
  t.equal(await to('x.example.org', '/'), `https://x.example.org:${port}/`);
  t.equal(await to('unknown.example.net', '/'), 404);
});

t.test('the redirect names the public port, and none when that is 443', async (t) => {
  for (const [publicHttpsPort, location] of [
    [443, 'https://shop.example.com/'],
    [8443, 'https://shop.example.com:8443/'],
  ] as const) {
    const edge = await startWorker(t, { publicHttpsPort });
    await edge.applied(await edge.serve('shop', ['shop.example.com'], ['http://127.0.0.1:1']));
    t.equal((await fetchPlain(edge.httpPort, '/', 'shop.example.com')).headers.location, location);
  }
});

t.test(
  'a route that wants it is served over port 80 as over https: bodies, connections that go on, websockets',
  async (t) => {
    const host = 'devices.example.com';
    const { url, server } = await startUpstream(t, (request, response) => {
      response.writeHead(200, { 'x-proto': request.headers['x-forwarded-proto'] });
      request.pipe(response);
    });
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket, request) =>
      socket.send(`hello ${request.headers['x-forwarded-proto']}`),
    );
    const edge = await startWorker(t);
    const hsts = { maxAge: 600 };
    await edge.applied(await edge.serve('devices', [host], [url], ['/open'], { plainHttp: 'serve', hsts }));

    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.teardown(() => agent.destroy());
    const used = new Set<unknown>();
    for (const body of ['one', 'x'.repeat(300_000)]) {
      const sent = request({
        host: '127.0.0.1',
        port: edge.httpPort,
        path: '/open',
        method: 'POST',
        headers: { host },
        agent,
      });
      sent.end(body);
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      t.equal(await text(answer), body);
      t.match(answer, { statusCode: 200, headers: { 'x-proto': 'http' } });
      t.equal(answer.headers['strict-transport-security'], undefined, 'which says nothing over http');
      used.add(answer.socket);
    }
    t.equal(used.size, 1, 'on one connection');
    const socket = new WebSocket(`ws://127.0.0.1:${edge.httpPort}/open/chat`, { headers: { host } });
    const [greeting] = await once(socket, 'message');
    t.equal(String(greeting), 'hello http');
    t.equal(edge.worker.figures().tunnels, 1);
    socket.terminate();
    t.equal((await fetchPlain(edge.httpPort, '/', host)).status, 308, 'where no route says so');

    await edge.applied(await edge.serve('devices', [host], [url]));
    const refused = new WebSocket(`ws://127.0.0.1:${edge.httpPort}/open/chat`, { headers: { host } });
    const [error] = await once(refused, 'error');
    t.match(error, /308/, 'a websocket is sent to https where the route is');
  },
);

t.test('a route that refuses plain HTTP is answered 403 there, and challenges all the same', async (t) => {
  const host = 'safe.example.com';
  const edge = await startWorker(t);
  const value = { ...challenge, host, type: 'http-01' } as const;
  await edge.commit({ op: 'put', kind: 'challenge', id: token, value });
  await edge.applied(
    await edge.serve('safe', [host], ['http://127.0.0.1:1'], ['/'], { plainHttp: 'refuse' }),
  );
  const answer = await fetchPlain(edge.httpPort, '/', host);
  t.match([answer.status, JSON.parse(answer.body)], [403, { code: 'https_required' }]);
  t.equal((await fetchPlain(edge.httpPort, `/.well-known/acme-challenge/${token}`, host)).status, 200);
  await edge.serve('safe', [host], ['http://127.0.0.1:1']);
  const defaults = { plainHttp: 'refuse' } as const;
  await edge.applied(await edge.commit(edge.settingsChange(null, { defaults, pages: { 404: '<p>none' } })));
  t.equal((await fetchPlain(edge.httpPort, '/', host)).status, 403, 'by the defaults of all routes');
  t.equal((await fetchPlain(edge.httpPort, '/', 'unknown.example.com')).body, '<p>none');
});

t.test(
  'what other proxies have passed on is answered as what comes at once; what goes round is not',
  async (t) => {
    const edge = await startWorker(t);
    const { url } = await startUpstream(t, ({ headers }, response) => response.end(headers.via));
    await edge.serve('shop', ['shop.example.com'], [url]);
    await edge.applied(await edge.serve('open', ['open.example.com'], [url], ['/'], { plainHttp: 'serve' }));
    const from = (host: string, via: string) => fetchPlain(edge.httpPort, '/', host, { via });
    t.equal((await from('shop.example.com', '1.1 cdn.example.net, 1.1 cache')).status, 308);
    const { status, body } = await from('open.example.com', '1.1 cdn.example.net');
    t.match([status, body], [200, /^1\.1 cdn\.example\.net, 1\.1 lockstep-/]);
    const own = body.split(', ')[1]!;
    for (const host of ['shop.example.com', 'open.example.com'])
      t.equal((await from(host, Array(4).fill(own).join(', '))).status, 508);
  },
);
