import { once } from 'node:events';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import type { EdgeChange } from '../../configured-store.ts';
import { fetchThrough, fetchThroughH2 } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';

async function startLogging(t: Test, accessLog: EdgeChange['accessLog']) {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (request, response) => {
    request.resume().on('end', () => response.end('twelve bytes'));
  });
  const to = join(testFolder(t), 'access.log');
  await edge.serve('shop', [host], [url]);
  await edge.serve('dead', ['dead.example.com'], ['http://127.0.0.1:1']);
  await edge.applied(await edge.commit(edge.settingsChange(null, { accessLog: { to, ...accessLog } })));
  const lines = (count: number, path = to) =>
    waitFor(
      () => {
        const all = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
        return all.length >= count && all;
      },
      { what: `${count} lines` },
    );
  const at = (name = host) => ({ port: edge.httpsPort, host: name, root: edge.root });
  return { edge, url, to, lines, at };
}

t.test('each answer has a line that tells who asked for what, and how long what took', async (t) => {
  const { edge, url, lines, at } = await startLogging(t, {});
  await fetchThrough({
    ...at(),
    path: '/cart?token=secret',
    method: 'POST',
    body: 'five!',
    headers: { 'x-request-id': 'r-1', 'user-agent': 'a "test"\\' },
  });
  await fetchThroughH2(at());
  await fetchThrough(at('dead.example.com'));
  await fetch(`http://127.0.0.1:${edge.httpPort}/`, { redirect: 'manual' });
  const [first, second, third, fourth] = (await lines(4)).map((line) => JSON.parse(line));
  t.match(first, {
    level: 30,
    msg: 'request',
    node: 'test',
    requestId: 'r-1',
    route: 'shop',
    client: '127.0.0.1',
    method: 'POST',
    host,
    path: '/cart?token=secret',
    protocol: 'HTTP/1.1',
    status: 200,
    upstream: url,
    attempts: 1,
    queueMs: Number,
    connectMs: Number,
    firstByteMs: Number,
    totalMs: Number,
    bytesIn: 5,
    bytesOut: 12,
    tls: 'TLSv1.3',
    resumed: false,
    userAgent: 'a "test"\\',
  });
  t.ok(first.totalMs >= first.queueMs + first.connectMs + first.firstByteMs - 0.01, 'parts of the whole');
  t.match(second, { protocol: 'HTTP/2.0', status: 200, route: 'shop', bytesOut: 12, tls: 'TLSv1.3' });
  t.match(third, { status: 502, route: 'dead', cause: /^upstream_/, upstream: 'http://127.0.0.1:1' });
  t.match(fourth, { status: 404, cause: 'no_route', host: '127.0.0.1' });
  t.notOk('tls' in fourth);
});

t.test('a line names the tenant of the route', async (t) => {
  const { edge, url, lines, at } = await startLogging(t, {});
  const labels = { tenant: 'harbour-cafe', metadata: { plan: 'pro' } };
  await edge.applied(await edge.serve('labelled', ['labelled.example.com'], [url], ['/'], labels));
  await fetchThrough(at('labelled.example.com'));
  t.match(JSON.parse((await lines(1))[0]!), { route: 'labelled', tenant: 'harbour-cafe' });
});

t.test('who sent what is no request that can be served is told too', async (t) => {
  const { edge, lines, at } = await startLogging(t, {});
  for (const fetch of [fetchThrough, fetchThroughH2])
    await fetch({ ...at(), method: 'PROPPATCHES', headers: { connection: undefined } as never }).catch(
      () => {},
    );
  await fetchThroughH2({ ...at(), path: '/%' });
  await fetchThrough({ ...at(), path: '/%' });
  await fetch(`http://127.0.0.1:${edge.httpPort}/%`);
  const told = (await lines(4)).map((line) => JSON.parse(line));
  for (const { client, status } of told) t.same([client, status >= 400], ['127.0.0.1', true]);
});

t.test('a session that the client had from before is told', async (t) => {
  const { edge, lines } = await startLogging(t, {});
  const options = { host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root };
  const ask = async (session?: Buffer) => {
    const socket = connect({ ...options, ...(session === undefined ? {} : { session }) });
    const ticket = once(socket, 'session');
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    socket.resume();
    await once(socket, 'close');
    return session ?? ((await ticket)[0] as Buffer);
  };
  await ask(await ask());
  t.same(
    (await lines(2)).map((line) => JSON.parse(line).resumed),
    [false, true],
  );
});

t.test(
  'the combined form is what other tools read, and nothing in it can end a field or a line',
  async (t) => {
    const { lines, at } = await startLogging(t, {
      format: 'combined',
      query: 'truncated',
      clientAddress: 'truncated',
    });
    await fetchThrough({
      ...at(),
      path: '/a?token=secret&b=2&c',
      headers: { referer: 'https://x.example/"', 'user-agent': 'tab\there' },
    });
    const [line] = await lines(1);
    t.match(
      line,
      /^127\.0\.0\.0 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/a\?token=&b=&c HTTP\/1\.1" 200 12 "https:\/\/x\.example\/\\"" "tab\\x09here"$/,
    );
  },
);

t.test(
  'a file that was renamed is left, single routes have a share of their own, and off is off',
  async (t) => {
    const { edge, to, lines, at } = await startLogging(t, {
      sample: 0,
      routes: { shop: 1 },
      query: 'hidden',
      clientAddress: 'hidden',
    });
    await fetchThrough(at('dead.example.com'));
    await fetchThrough({ ...at(), path: '/a?b' });
    const [first] = (await lines(1)).map((line) => JSON.parse(line));
    t.match(first, { route: 'shop', path: '/a' });
    t.notOk('client' in first);
    renameSync(to, `${to}.1`);
    edge.worker.reopenLogs();
    await waitFor(() => existsSync(to), { what: 'another file' });
    await fetchThrough({ ...at(), path: '/later' });
    t.match((await lines(1)).join(), '/later');
    await edge.applied(await edge.commit(edge.settingsChange(null)));
    await fetchThrough({ ...at(), path: '/off' });
    t.notMatch(readFileSync(to, 'utf8'), '/off');
  },
);

t.test('where no line can be written they are counted, and requests are answered', async (t) => {
  const { edge, at } = await startLogging(t, { to: '/nowhere/at/all.log' });
  t.equal((await fetchThrough(at())).status, 200);
  await waitFor(() => edge.worker.figures().requests.linesDropped === 1, { what: 'the line to be missed' });
});

t.test('a worker that ends writes its last lines', async (t) => {
  const { edge, to, at } = await startLogging(t, {});
  await fetchThrough({ ...at(), path: '/last' });
  await edge.worker.drain();
  t.match(readFileSync(to, 'utf8'), '/last');
});
