import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { defaultEdgeSettings, type EdgeSettings } from '@lockstep/contract';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { freePort } from '@lockstep/testkit';
import type { Logger } from 'pino';
import t, { type Test } from 'tap';
import { createForwarder } from '../../../src/native/http/forwarder.ts';
import { ExchangeError, failureCauseOf, failureCauses } from '../../../src/native/upstreams/failure-cause.ts';
import { createFailureLog } from '../../../src/native/upstreams/failure-log.ts';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';

async function listen(t: Test, onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

t.test('each cause of a failed dial is told apart, in the figures and not to the client', async (t) => {
  const edge = await startWorker(t);
  const authority = await createAuthority();
  const key = await generateKeyPem();
  const lifetimeMs = 3_600_000;
  const cert = await issueCertificate({
    authority,
    host: 'up.example.com',
    keyPem: key,
    lifetimeMs,
    now: Date.now(),
  });
  const tls = createTlsServer({ key, cert }).listen(0, '127.0.0.1');
  tls.on('tlsClientError', () => {});
  await once(tls, 'listening');
  t.teardown(() => tls.close());
  const plain = await listen(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const silent = await listen(t, () => {});
  await edge.commit(edge.settingsChange(null, { timeouts: { connectMs: 100 } }));
  for (const [upstream, cause, status] of [
    [`http://127.0.0.1:${await freePort()}`, 'upstream_refused', 502],
    [`https://127.0.0.1:${(tls.address() as AddressInfo).port}`, 'upstream_certificate_untrusted', 502],
    [`https://127.0.0.1:${plain}`, 'upstream_tls_failed', 502],
    [`https://127.0.0.1:${silent}`, 'upstream_timeout_connect', 504],
    ['http://169.254.169.254', 'upstream_denied', 502],
  ] as const) {
    await edge.applied(await edge.serve('shop', [host], [upstream]));
    const answer = await fetchThrough({ port: edge.httpsPort, host, root: edge.root });
    t.equal(answer.status, status, cause);
    t.equal(edge.worker.figures().failures[cause], 1, cause);
    t.notMatch(answer.body, /certificate|refused|127\.0|169\.254|denied/);
  }
});

t.test('docs/upstreams.md lists the same causes', async (t) => {
  const docs = await readFile(new URL('../../../../../docs/upstreams.md', import.meta.url), 'utf8');
  const [, section = ''] = docs.split('## Why it failed');
  const listed = [...section.matchAll(/^\| `([a-z0-9_]+)` \| (.+) \|$/gm)].map(([, cause, what]) => [
    cause,
    what,
  ]);
  t.same(Object.fromEntries(listed), { ...failureCauses });
});

t.test('what undici and Node say has its cause', async (t) => {
  const error = (code: string, message = '') => Object.assign(new Error(message), { code });
  const parser = (message: string) => Object.assign(new Error(message), { name: 'HTTPParserError' });
  for (const [given, inBody, cause] of [
    [error('ENOTFOUND'), false, 'upstream_name_not_found'],
    [error('EAI_AGAIN'), false, 'upstream_name_unresolved'],
    [error('EHOSTUNREACH'), false, 'upstream_unreachable'],
    [error('CERT_HAS_EXPIRED'), false, 'upstream_certificate_expired'],
    [error('ERR_TLS_CERT_ALTNAME_INVALID'), false, 'upstream_certificate_name'],
    [error('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), false, 'upstream_certificate_untrusted'],
    [error('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'), false, 'upstream_tls_failed'],
    [error('EMFILE'), false, 'edge_out_of_descriptors'],
    [error('UND_ERR_SOCKET', 'other side closed'), true, 'upstream_closed'],
    [error('UND_ERR_RES_CONTENT_LENGTH_MISMATCH'), true, 'upstream_closed'],
    [error('UND_ERR_RES_CONTENT_LENGTH_MISMATCH'), false, 'upstream_head_invalid'],
    [parser('Response does not match (Invalid EOF state)'), true, 'upstream_closed'],
    [parser('Response does not match (Expected HTTP/)'), false, 'upstream_head_invalid'],
    [parser('Response does not match (Invalid character in chunk size)'), true, 'upstream_body_invalid'],
    [new ExchangeError('upstream_busy'), false, 'upstream_busy'],
    [error('toString'), false, 'edge_failed'],
    [new TypeError('x is not a function'), false, 'edge_failed'],
    ['a string', false, 'edge_failed'],
  ] as const) {
    t.equal(failureCauseOf(given, inBody), cause);
  }
});

t.test('one line a minute for each cause and upstream, with how many there were in between', async (t) => {
  const lines: { cause: string; upstream: string; unlogged: number }[] = [];
  let now = 0;
  const write = (fields: (typeof lines)[number]) => void lines.push(fields);
  const log = createFailureLog({ warn: write, error: write } as unknown as Logger, () => now);
  for (let i = 0; i < 5; i += 1) log.note('upstream_refused', 'http://a', new Error('connect ECONNREFUSED'));
  log.note('upstream_refused', 'http://b');
  log.note('upstream_reset', 'http://a');
  t.equal(lines.length, 3);
  t.match(lines[0], { cause: 'upstream_refused', upstream: 'http://a', unlogged: 0, detail: /ECONNREFUSED/ });
  now = 61_000;
  log.note('upstream_refused', 'http://a');
  t.match(lines[3], { cause: 'upstream_refused', upstream: 'http://a', unlogged: 4 });
  t.same(log.counts, { upstream_refused: 7, upstream_reset: 1 });
  for (let i = 0; i < 3_000; i += 1) log.note('upstream_reset', `http://${i}`);
  t.equal(log.counts.upstream_reset, 3_001, 'however many upstreams there are');
  t.ok(Object.keys(log.counts).every((cause) => cause in failureCauses));
});

t.test('an upstream that a change dropped still serves who had begun', async (t) => {
  const edge = await startWorker(t);
  const named = async (name: string) =>
    (await startUpstream(t, (_request, response) => response.end(name))).url;
  const dialled = Promise.withResolvers<Socket>();
  const slow = `https://127.0.0.1:${await listen(t, dialled.resolve)}`;
  const second = await named('second');
  await edge.applied(await edge.serve('shop', [host], [slow, second]));
  const answer = fetchThrough({ port: edge.httpsPort, host, root: edge.root });
  const socket = await dialled.promise;
  await edge.applied(await edge.commit(edge.routeChange('shop', [host], [await named('third')])));
  socket.destroy();
  t.match(await answer, { status: 200, body: 'second' });
  t.match(await fetchThrough({ port: edge.httpsPort, host, root: edge.root }), { body: 'third' });
});

t.test('what throws while a request is read leaves no exchange under way', async (t) => {
  const forwarder = createForwarder({
    routes: {
      find() {
        throw new Error('no table');
      },
      methodsFor: () => [],
      pagesAt: () => null,
      servesHost: () => true,
    },
    challenges: { keyAuthorization: () => null },
    trustedProxies: () => null,
    isDrained: () => false,
    settings: () => defaultEdgeSettings as unknown as EdgeSettings,
    pseudonym: 'x',
    onRequest: null,
    onAnswer() {},
    incidents: { onRefused() {}, onCut() {}, onException() {} },
  });
  const server = createHttpServer((request, response) => {
    t.throws(() => forwarder.handle(request, response), /no table/);
    response.end();
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.equal(forwarder.inFlight, 0);
});
