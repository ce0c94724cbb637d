import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import type { EdgeChange } from '../../configured-store.ts';
import { fetchPlain } from '../../fetch-plain.ts';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'a.example.com';

/** A worker whose upstream tells what it received. */
async function start(t: Test, settings: EdgeChange) {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (request, response) =>
    response.end(JSON.stringify(request.headers)),
  );
  await edge.serve('a', [host], [url]);
  await edge.applied(await edge.commit(edge.settingsChange(null, settings)));
  return edge;
}

type Edge = Awaited<ReturnType<typeof start>>;

/** What the upstream received of a request behind `header`; null when the connection ended without an answer. */
async function receivedBehind(edge: Edge, header: string | Buffer): Promise<Record<string, string> | null> {
  const raw = connectPlain(edge.httpsPort, '127.0.0.1');
  raw.on('error', () => {});
  raw.write(header);
  const socket = connect({ socket: raw, servername: host, ca: edge.root });
  socket.on('error', () => {});
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    answer += chunk;
  });
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await new Promise((resolve) => socket.on('close', resolve));
  return answer === '' ? null : JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
}

const from = (client: string) => `PROXY TCP4 ${client} 192.0.2.1 1024 443\r\n`;

t.test('a balancer tells by the PROXY protocol whose connection it is, and nobody else does', async (t) => {
  const edge = await start(t, { proxyProtocolFrom: ['127.0.0.0/8'] });
  t.match(await receivedBehind(edge, from('198.51.100.7')), { 'x-forwarded-for': '198.51.100.7' });
  const binary = Buffer.from('0d0a0d0a000d0a515549540a2111000cc6336408c00002011f9001bb', 'hex');
  t.match(await receivedBehind(edge, binary), { 'x-forwarded-for': '198.51.100.8' });
  t.match(
    await receivedBehind(edge, ''),
    { 'x-forwarded-for': '127.0.0.1' },
    'its own connections need none',
  );
  t.equal(await receivedBehind(edge, 'PROXY nonsense\r\n'), null);
  t.equal(edge.worker.figures().cuts.proxy_header, 1);
  const options = ['--http1.1', '--http2'].map((version) => ['--haproxy-protocol', version]);
  for (const option of options) {
    const url = `https://${host}:${edge.httpsPort}/`;
    const { stdout } = await promisify(execFile)('curl', [
      ...['-sk', '--max-time', '20', '--resolve', `${host}:${edge.httpsPort}:127.0.0.1`, ...option, url],
    ]);
    t.match(JSON.parse(stdout), { 'x-forwarded-for': '127.0.0.1' }, option.join(' '));
  }
  const port = String(edge.httpPort);
  const plain = ['-s', '--haproxy-protocol', '-H', `Host: ${host}`, `http://127.0.0.1:${port}/`];
  const { stdout } = await promisify(execFile)('curl', [...plain, '-o', '/dev/null', '-w', '%{http_code}']);
  t.equal(stdout, '308', 'on port 80 as well');

  await edge.applied(await edge.commit(edge.settingsChange(null, { proxyProtocolFrom: ['192.0.2.0/24'] })));
  t.equal(await receivedBehind(edge, from('198.51.100.7')), null, 'not from somewhere else');
});

t.test('by an IP address of a balancer its certificate is shown, as the balancer tells', async (t) => {
  const edge = await start(t, { proxyProtocolFrom: ['127.0.0.1'] });
  await edge.applied(await edge.serve('ip', ['127.0.0.1', '192.0.2.1', '192.0.2.2'], ['http://127.0.0.1:1']));
  for (const [header, shown] of [
    [from('198.51.100.7'), '192.0.2.1'],
    ['PROXY TCP4 198.51.100.7 192.0.2.2 1024 443\r\n', '192.0.2.2'],
    ['', '127.0.0.1'],
  ] as const) {
    const raw = connectPlain(edge.httpsPort, '127.0.0.1');
    raw.write(header);
    const socket = connect({ socket: raw, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
    await once(socket, 'secureConnect');
    t.equal(socket.getPeerX509Certificate()?.subjectAltName, `IP Address:${shown}`);
    socket.destroy();
  }
});

t.test('limits count the clients behind a balancer, not the balancer', async (t) => {
  const edge = await start(t, { proxyProtocolFrom: ['127.0.0.1'], limits: { connectionsPerClient: 1 } });
  const held = connectPlain(edge.httpPort, '127.0.0.1');
  t.teardown(() => held.destroy());
  held.write(`${from('198.51.100.7')}GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await once(held, 'data');
  t.equal(await receivedBehind(edge, from('198.51.100.7')), null);
  t.equal(edge.worker.figures().cuts.too_many_of_client, 1);
  t.match(await receivedBehind(edge, from('198.51.100.8')), { 'x-forwarded-for': '198.51.100.8' });
});

t.test('a header that does not come to its end ends the connection by the deadline of heads', async (t) => {
  const edge = await start(t, { proxyProtocolFrom: ['127.0.0.1'], timeouts: { headMs: 1_000 } });
  for (const begun of ['PROXY TCP4', '']) {
    const socket = connectPlain(edge.httpsPort, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(begun);
    socket.resume();
    await new Promise((resolve) => socket.on('close', resolve));
  }
  await waitFor(async () => edge.worker.figures().cuts.proxy_header === 2, { what: 'both to be counted' });
});

t.test(
  'what trusted proxies say of their clients is believed, going back to the first that is none',
  async (t) => {
    const edge = await start(t, { trustedProxies: ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'] });
    const received = async (headers: Record<string, string>) =>
      JSON.parse((await fetchThrough({ port: edge.httpsPort, host, root: edge.root, headers })).body);

    for (const spelling of ['::ffff:c633:6407', '[0:0:0:0:0:FFFF:198.51.100.7]:99'])
      t.match(await received({ 'X-Forwarded-For': spelling }), {
        'x-forwarded-for': '198.51.100.7, 127.0.0.1',
      });
    t.match(await received({ 'X-Forwarded-For': '198.51.100.7' }), {
      'x-forwarded-for': '198.51.100.7, 127.0.0.1',
    });
    t.match(
      await received({ 'X-Forwarded-For': '6.6.6.6, 198.51.100.7, 10.1.2.3:4711' }),
      { 'x-forwarded-for': '198.51.100.7, 10.1.2.3, 127.0.0.1' },
      'what somebody else had said before goes no further',
    );
    t.match(
      await received({
        'X-Forwarded-For': 'unknown, 10.0.0.1',
        'X-Forwarded-Proto': 'http',
        'X-Forwarded-Host': 'shop.example.org',
        'X-Forwarded-Port': '80',
      }),
      {
        'x-forwarded-for': '10.0.0.1, 127.0.0.1',
        'x-forwarded-proto': 'http',
        'x-forwarded-host': 'shop.example.org',
        'x-forwarded-port': '80',
      },
    );
    t.match(
      await received({
        Forwarded:
          'for=6.6.6.6;proto=http, for="[2001:db8::7]:80", For=198.51.100.7;proto=http;host=b.example, for=10.0.0.2;proto=https',
      }),
      {
        'x-forwarded-for': '198.51.100.7, 10.0.0.2, 127.0.0.1',
        'x-forwarded-proto': 'http',
        'x-forwarded-host': 'b.example',
      },
    );
    for (const hidden of ['proto=https', 'for=_hidden;proto=https', 'for=6.6.6.6, for=unknown;proto=https']) {
      t.match(
        await received({ Forwarded: hidden }),
        { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'https' },
        'a proxy may hide its client, and still say how it came',
      );
    }
    t.match(await received({ Forwarded: 'for=198.51.100.7;;, "' }), { 'x-forwarded-for': '127.0.0.1' });
    t.match(await received({ Forwarded: 'for=6.6.6.6', 'X-Forwarded-For': '198.51.100.7' }), {
      'x-forwarded-for': '198.51.100.7, 127.0.0.1',
      forwarded: undefined,
    });

    const plain = (scheme: string) =>
      fetchPlain(edge.httpPort, '/', host, {
        'x-forwarded-for': '198.51.100.7',
        'x-forwarded-proto': scheme,
      });
    t.match(await plain('http'), { status: 308 });
    const hiding = { forwarded: 'for=unknown;proto=https' };
    t.match(await fetchPlain(edge.httpPort, '/', host, hiding), { status: 200 });
    const served = await plain('https');
    t.equal(served.status, 200, 'a proxy that has TLS with the client is not sent to https');
    t.match(JSON.parse(served.body), {
      'x-forwarded-for': '198.51.100.7, 127.0.0.1',
      'x-forwarded-proto': 'https',
    });

    await edge.applied(await edge.commit(edge.settingsChange(null, { trustedProxies: ['10.0.0.0/8'] })));
    t.match(await plain('https'), { status: 308 });
    t.match(
      await received({
        'X-Forwarded-For': '198.51.100.7',
        'X-Forwarded-Proto': 'http',
        'X-Forwarded-Port': '1',
      }),
      { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'https', 'x-forwarded-port': undefined },
      'from others nothing is',
    );
  },
);
