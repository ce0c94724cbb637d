import t from 'tap';
import { fetchPlain } from '../../fetch-plain.ts';
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
