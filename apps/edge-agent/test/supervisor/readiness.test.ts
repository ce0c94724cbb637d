import { once } from 'node:events';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { connect, createServer as createTcpServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { createServer as createTlsServer } from 'node:tls';
import {
  createBoundary,
  defaultEdgeSettings,
  type EdgeSettingsRecord,
  type FeedState,
} from '@lockstep/contract';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { freePort, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createAdminListener } from '../../src/supervisor/admin-listener.ts';
import { edgeReadiness } from '../../src/supervisor/edge-readiness.ts';
import { createListenerWatch } from '../../src/supervisor/listener-watch.ts';
import { createOwnHandshake } from '../../src/supervisor/own-handshake.ts';

const log = pino({ level: 'silent' });

async function listening(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as { port: number }).port;
}

const check = (port: number, host: string | null, timeoutMs?: number) =>
  createOwnHandshake({ address: { host: '127.0.0.1', port }, host: () => host, timeoutMs }).check();

t.test('an edge shakes hands with its own listener: a handshake or an alert is an answer', async (t) => {
  const authority = await createAuthority();
  const key = await generateKeyPem();
  const lifetimeMs = 86_400_000;
  const host = '*.example.com';
  const cert = await issueCertificate({ authority, host, keyPem: key, lifetimeMs, now: Date.now() });
  const names: string[] = [];
  const port = await listening(
    t,
    createTlsServer({ key, cert }, (socket) => {
      names.push((socket as typeof socket & { servername: string }).servername);
      socket.on('error', () => {});
    }),
  );
  t.equal(await check(port, host), null);
  await waitFor(() => names.length === 1, { what: 'the handshake at the server' });
  t.same(names, ['readyz.example.com'], 'a name that its certificate covers');
  const refusing = createTlsServer({}).on('tlsClientError', () => {});
  t.equal(await check(await listening(t, refusing), null), null, 'an alert');
});

t.test('one that takes no connection, cuts it or says nothing, is no answer', async (t) => {
  t.equal(await check(await freePort(), null), 'ECONNREFUSED');
  const cutting = createTcpServer((socket) => void socket.on('error', () => {}).destroy());
  t.not(await check(await listening(t, cutting), null), null);
  const sockets = new Set<{ destroy(): void }>();
  const silent = createTcpServer((socket) => void sockets.add(socket.on('error', () => {})));
  t.match(await check(await listening(t, silent), null, 50), /no answer/);
  for (const socket of sockets) socket.destroy();
});

t.test('that its own handshakes are not answered is told once two in a row were not', async (t) => {
  const answers = [null, 'cut', null, 'cut', 'no answer', 'no answer', null];
  const told: (string | null)[] = [];
  const watch = createListenerWatch({
    handshake: { check: async () => answers.shift() ?? null },
    ready: () => true,
    onChange: () => told.push(watch.fault),
    boundary: createBoundary(log),
    intervalMs: 1,
    againMs: 1,
  });
  t.teardown(() => watch.close());
  await waitFor(() => told.length === 2 && answers.length === 0, { what: 'all handshakes' });
  t.same(told, ['no answer', null]);
});

t.test('it is not asked again for each who asks', async (t) => {
  let connections = 0;
  const cutting = createTcpServer((socket) => {
    connections += 1;
    socket.on('error', () => {}).destroy();
  });
  const port = await listening(t, cutting);
  const handshake = createOwnHandshake({ address: { host: '127.0.0.1', port }, host: () => null });
  await Promise.all(Array.from({ length: 50 }, () => handshake.check()));
  t.equal(connections, 1);
});

const position = { epoch: 'e', number: 1, commitId: 'c' };
const standing = (state: FeedState['state'], detail: string | null = null): FeedState => ({
  state,
  since: new Date().toISOString(),
  detail,
  records: null,
});
const settings = (notReadyAfterMs: number | null) =>
  ({ onDemand: null, edge: { ...defaultEdgeSettings, notReadyAfterMs } }) satisfies EdgeSettingsRecord;

t.test('an edge that cannot follow is degraded, and after the setting not ready', async (t) => {
  const read = (
    behindMs: number | null,
    notReadyAfterMs: number | null,
    rest: { ready?: number; applied?: typeof position | null; fault?: string; drained?: true } = {},
  ) =>
    edgeReadiness({
      engine: {
        processes: { ready: rest.ready ?? 2, of: 2, hung: 0, restarts: 0, kills: 0 },
        applied: () => (rest.applied === undefined ? position : rest.applied),
      },
      replica: {
        state: behindMs === null ? standing('following') : standing('broken', 'no store'),
        held: null,
        behindSince: behindMs === null ? null : Date.now() - behindMs,
        settings: settings(notReadyAfterMs),
      },
      handshake: { check: async () => rest.fault ?? null },
      drain: { state: rest.drained ? { since: 'noon', connections: 3 } : null },
    });
  t.match(await read(null, 10_000), { status: 'ready' });
  t.match(await read(5_000, 10_000), { status: 'degraded' });
  t.match(await read(3_600_000, null), { status: 'degraded' });
  const late = await read(11_000, 10_000);
  t.equal(late.status, 'not_ready');
  t.match(
    late.checks.find(({ name }) => name === 'following'),
    { ok: false, detail: /no store/ },
  );
  t.match(await read(null, null, { ready: 1 }), { status: 'not_ready' });
  t.match(await read(null, null, { applied: null }), { status: 'not_ready' });
  t.match(await read(null, null, { fault: 'ECONNREFUSED' }), { status: 'not_ready' });
  const drained = await read(null, null, { drained: true });
  t.match(drained, { status: 'not_ready', checks: [{}, {}, {}, { ok: false, detail: /since noon/ }] });
});

t.test('the admin listener answers 200 while degraded, and outlives what fails behind it', async (t) => {
  const boundary = createBoundary(log);
  let status: 'ready' | 'degraded' | 'not_ready' = 'degraded';
  const admin = await createAdminListener({
    address: { host: '127.0.0.1', port: 0 },
    hosts: ['edge-1.internal'],
    boundary,
    readiness: async () => ({ status, checks: [] }),
    metrics: async () => {
      throw new Error('no figures');
    },
    async reload() {},
  });
  t.teardown(() => admin.close());
  const get = async (path: string) => (await fetch(`http://127.0.0.1:${admin.address.port}${path}`)).status;
  t.equal(await get('/readyz'), 200);
  status = 'not_ready';
  t.equal(await get('/readyz'), 503);
  t.equal(await get('/metrics'), 500);
  t.equal(boundary.exceptions.admin, 1);
  t.equal(await get('/healthz'), 200);
  for (const [host, expected] of [
    ['edge-1.internal:9100', 200],
    ['rebound.example.com', 421],
  ] as const) {
    const request = httpGet({ port: admin.address.port, path: '/healthz', headers: { host }, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.resume();
    t.equal(response.statusCode, expected, host);
  }
});

t.test('a health check in HTTP/1.0 needs no Host, and one that is there has to be known', async (t) => {
  const admin = await startAdmin(t);
  for (const [field, status] of [
    ['', 200],
    ['Host: 127.0.0.1\r\n', 200],
    ['Host: rebound.example.com\r\n', 421],
    ['Host:\r\n', 400],
    ['Host: localhost\r\nHost: localhost\r\n', 400],
  ] as const) {
    const socket = connect(admin.address.port, '127.0.0.1');
    socket.end(`GET /readyz HTTP/1.0\r\n${field}\r\n`);
    t.match(await text(socket), new RegExp(`^HTTP/1\\.1 ${status} `), field);
  }
});

t.test(
  'what is no request to the admin listener is answered as everywhere, with a problem document',
  async (t) => {
    const admin = await startAdmin(t);
    const h = 'Host: localhost\r\nConnection: close\r\n';
    for (const [head, status, code] of [
      [`GET /nothing HTTP/1.1\r\n${h}`, 404, 'not_found'],
      ['GET /healthz HTTP/1.1\r\n', 400, 'invalid_request'],
      [`GET /healthz HTTP/1.1\r\n${h}Host: localhost\r\n`, 400, 'invalid_request'],
      ['GET /healthz HTTP/1.1\r\nHost: a b\r\n', 400, 'invalid_request'],
      [`GET /healthz%zz HTTP/1.1\r\n${h}`, 400, 'invalid_request'],
      ['GET /healthz HTTP/1.1\r\nHost: evil.example\r\n', 421, 'misdirected'],
      [`GET http://evil.example/healthz HTTP/1.1\r\n${h}`, 421, 'misdirected'],
      [`POST /healthz HTTP/1.1\r\n${h}Content-Length: 0\r\n`, 405, 'method_not_allowed'],
      [`GET /healthz HTTP/1.1\r\n${h}Expect: x\r\n`, 417, 'expectation_failed'],
      [`GET /healthz HTTP/1.1\r\n${h}X: ${'a'.repeat(20_000)}\r\n`, 431, 'headers_too_large'],
      [`CONNECT localhost:1 HTTP/1.1\r\n${h}`, 501, 'not_implemented'],
      ['nonsense\r\n', 400, 'invalid_request'],
      [`GET /healthz RTSP/1.0\r\n${h}`, 400, 'invalid_request'],
      [`GET /healthz HTTP/3.0\r\n${h}`, 505, 'version_not_supported'],
    ] as const) {
      const socket = connect(admin.address.port, '127.0.0.1');
      socket.write(`${head}\r\n`);
      let answer = '';
      for await (const part of socket.setEncoding('latin1')) {
        answer += part;
        if (answer.endsWith('}')) break; // some keep the connection
      }
      socket.destroy();
      t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), head.slice(0, 60));
      t.match(answer, /content-type: application\/problem\+json/i);
      t.equal(JSON.parse(answer.slice(answer.indexOf('{'))).code, code);
    }
    const socket = connect(admin.address.port, '127.0.0.1');
    socket.write('GET http://127.0.0.1/healthz?x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    t.match(await text(socket), /^HTTP\/1\.1 200 [\s\S]*"ok"/);
  },
);

async function startAdmin(t: Test) {
  const admin = await createAdminListener({
    address: { host: '127.0.0.1', port: 0 },
    hosts: [],
    boundary: createBoundary(log),
    readiness: async () => ({ status: 'ready', checks: [] }),
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
    async reload() {},
  });
  t.teardown(() => admin.close());
  return admin;
}
