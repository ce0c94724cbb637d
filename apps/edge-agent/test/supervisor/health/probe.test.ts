import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttp2Server, createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import type { Upstream } from '@lockstep/contract';
import { RouteHealth } from '@lockstep/contract/schemas';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { createDeniedAddresses } from '@lockstep/pki/denied-addresses';
import t, { type Test } from 'tap';
import { probe } from '../../../src/supervisor/health/probe.ts';

const { active: check } = RouteHealth.parse({ active: { timeoutMs: 2_000, expectStatus: 200 } });
const authority = await createAuthority();
const key = await generateKeyPem();
const cert = await issueCertificate({
  authority,
  host: 'up.example.com',
  keyPem: key,
  lifetimeMs: 3_600_000,
  now: Date.now(),
});

const ask = (upstream: Upstream, denied: string[] = [], certificate: string | null = null) =>
  probe({
    upstream,
    check: check!,
    denied: () => createDeniedAddresses(denied),
    clientCertificate: (id) => (id === certificate ? { chain: cert, openKey: () => key } : null),
  });

async function startTls(t: Test) {
  const seen: { host: string; shown: boolean }[] = [];
  const server = createHttpsServer({ key, cert, requestCert: true, rejectUnauthorized: false });
  server.on('request', ({ headers, socket }, response) => {
    const shown = (socket as TLSSocket).getPeerCertificate();
    seen.push({ host: headers.host ?? '', shown: Object.keys(shown).length > 0 });
    response.end('ok');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

t.test('a check goes over TLS as requests do, and says what is wrong with a certificate', async (t) => {
  const { url, seen } = await startTls(t);
  const serverName = 'up.example.com';
  const ca = authority.certificate;
  t.match(await ask({ url }), /certificate/);
  t.equal(
    await ask({ url, tls: { ca, serverName: 'other.example.com' } }),
    'its certificate is for another name',
  );
  t.equal(await ask({ url, tls: { serverName } }), 'its certificate is not trusted');
  t.equal(await ask({ url, tls: { ca, serverName } }), null);
  t.equal(await ask({ url, host: 'shop.example.com', tls: { verify: false } }), null);
  t.match(
    await ask({ url, tls: { ca, serverName, clientCertificate: 'mine' } }),
    /holds no certificate "mine"/,
  );
  t.equal(await ask({ url, tls: { ca, serverName, clientCertificate: 'mine' } }, [], 'mine'), null);
  t.same(seen, [
    { host: new URL(url).host, shown: false },
    { host: 'shop.example.com', shown: false },
    { host: new URL(url).host, shown: true },
  ]);
});

t.test('a check goes over a socket of the file system', async (t) => {
  // A path of more than 107 bytes names no socket.
  const folder = mkdtempSync(join(tmpdir(), 'check-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'app.sock');
  const server = createServer((_request, response) => response.end('ok'));
  t.equal(await ask({ url: `unix:${path}` }), 'there is no such socket');
  await once(server.listen(path), 'listening');
  t.teardown(() => server.close());
  t.equal(await ask({ url: `unix:${path}` }), null);
});

t.test('a check speaks HTTP/2 to an upstream that does', async (t) => {
  const tls = { ca: authority.certificate, serverName: 'up.example.com' };
  for (const [protocol, server] of [
    ['h2c', createHttp2Server()],
    ['h2', createSecureServer({ key, cert })],
  ] as const) {
    let status = 200;
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.respond({ ':status': headers[':path'] === '/' ? status : 404 });
      stream.end('ok');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const upstream: Upstream =
      protocol === 'h2'
        ? { url: `https://127.0.0.1:${port}`, protocol, tls }
        : { url: `http://127.0.0.1:${port}`, protocol };
    t.equal(await ask(upstream), null);
    status = 503;
    t.equal(await ask(upstream), 'it answered 503');
  }
  const { url } = await startTls(t);
  t.equal(await ask({ url, protocol: 'h2', tls }), 'it does not speak HTTP/2');
  const plain = createServer().listen(0, '127.0.0.1');
  await once(plain, 'listening');
  t.teardown(() => plain.close());
  const { port } = plain.address() as AddressInfo;
  t.equal(await ask({ url: `http://127.0.0.1:${port}`, protocol: 'h2c' }), 'it does not speak HTTP/2');
});

t.test('a check says by the PROXY protocol that it is nobody’s', async (t) => {
  const starts: string[] = [];
  const server = createTcpServer((socket) => {
    socket.once('data', (chunk) => {
      starts.push(chunk.toString('latin1'));
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.equal(await ask({ url, proxyProtocol: 1 }), null);
  t.equal(await ask({ url, proxyProtocol: 2 }), null);
  t.match(starts[0], /^PROXY UNKNOWN\r\n/);
  t.ok(starts[1]?.startsWith('\r\n\r\n\0\r\nQUIT\n\x20\0\0\0'));
});

t.test('a check goes nowhere where no upstream may stand', async (t) => {
  const server = createServer((_request, response) => response.end('ok'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  t.equal(await ask({ url: `http://localhost:${port}` }), null);
  for (const host of ['127.0.0.1', 'localhost'])
    t.equal(
      await ask({ url: `http://${host}:${port}` }, ['127.0.0.0/8', '::1']),
      'no upstream may stand at its address',
    );
});

t.test('what fails is told in words', async (t) => {
  t.equal(await ask({ url: 'http://127.0.0.1:1' }), 'connection refused');
  t.equal(await ask({ url: 'http://nowhere.invalid' }).then((why) => /name/.test(why ?? '')), true);
  const odd = createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n'));
  await once(odd.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => odd.close());
  t.equal(
    await ask({ url: `http://127.0.0.1:${(odd.address() as AddressInfo).port}` }),
    'its answer is no HTTP/1.1',
  );
});

t.test('a check does not blame the upstream for the time in which the edge was held up', async (t) => {
  const server = createServer((_request, response) => response.end('ok'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const quick = { ...check!, timeoutMs: 100 };
  const asked = probe({
    upstream: { url },
    check: quick,
    denied: () => createDeniedAddresses([]),
    clientCertificate: () => null,
  });
  const until = Date.now() + 300;
  while (Date.now() < until); // nothing else gets its turn
  t.equal(await asked, null);
  const silent = createTcpServer(() => {});
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => silent.close());
  const never = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const options = { denied: () => createDeniedAddresses([]), clientCertificate: () => null };
  t.equal(await probe({ upstream: { url: never }, check: quick, ...options }), 'no answer within 100 ms');
});
