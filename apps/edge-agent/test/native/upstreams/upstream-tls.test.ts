import { once } from 'node:events';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { RouteRecord } from '@lockstep/contract';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import t from 'tap';
import { fetchThrough } from '../../fetch-through.ts';
import { startWorker } from '../../start-worker.ts';

type Tls = NonNullable<RouteRecord['upstreams']>[number]['tls'];

const host = 'shop.example.com';
const authority = await createAuthority();
const keyPem = await generateKeyPem();
const issued = { authority, keyPem, lifetimeMs: 3_600_000, now: Date.now() };
const cert = await issueCertificate({ ...issued, host: 'up.example.com' });
const edge = await startWorker(t);
/** Asks clients for a certificate, and answers with what it was told. */
const server = createServer(
  { key: keyPem, cert, requestCert: true, rejectUnauthorized: false, ca: edge.root },
  (request, response) => {
    const socket = request.socket as TLSSocket;
    const shown = socket.getPeerCertificate().subjectaltname ?? 'nothing';
    response.end(JSON.stringify([socket.servername, shown, socket.isSessionReused()]));
  },
).listen(0, '127.0.0.1');
await once(server, 'listening');
t.teardown(() => {
  server.close();
  server.closeAllConnections();
});
const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;

async function ask(tls: Tls): Promise<{ status: number; body: string }> {
  await edge.applied(await edge.serve('shop', [host], [{ url, tls }]));
  return fetchThrough({ port: edge.httpsPort, host, root: edge.root });
}

const failures = () => edge.worker.figures().failures;

t.test('an upstream is believed by the authority and under the name that its route says', async (t) => {
  const ca = authority.certificate;
  t.equal((await ask({ serverName: 'up.example.com' })).status, 502);
  t.equal(failures().upstream_certificate_untrusted, 1);
  t.equal((await ask({ ca, serverName: 'other.example.com' })).status, 502);
  t.equal(failures().upstream_certificate_name, 1);
  const { status, body } = await ask({ ca, serverName: 'up.example.com' });
  t.equal(status, 200);
  t.match(JSON.parse(body), ['up.example.com', 'nothing']);
  t.equal((await ask({ verify: false })).status, 200, 'or whoever it is');
});

t.test(
  'an upstream is shown the certificate that its route names, a newer one as soon as it is there',
  async (t) => {
    const tls = { verify: false, clientCertificate: 'brought_1' };
    t.equal((await ask(tls)).status, 502, 'none is held');
    t.equal(failures().upstream_client_certificate, 1);
    for (const name of ['edge.example.com', 'newer.example.com']) {
      await edge.commit({
        op: 'put',
        kind: 'certificate',
        id: 'brought_1',
        value: await edge.broughtRecord('brought_1', name, { names: [] }),
      });
      // Another answer ends the connection that was made with the one before.
      await edge.commit(edge.settingsChange(null));
      const { status, body } = await ask(tls);
      t.equal(status, 200);
      t.equal(JSON.parse(body)[1], `DNS:${name}`);
    }
  },
);

t.test('a TLS session is resumed by the next connection', async (t) => {
  const tls = { ca: authority.certificate, serverName: 'up.example.com' };
  await ask(tls);
  await edge.applied(await edge.commit(edge.settingsChange(null)));
  t.equal(JSON.parse((await ask(tls)).body)[2], true);
});

t.test(
  'an answer over TLS that is cut never looks complete, save where only the end says how long it is',
  async (t) => {
    let said = '';
    const raw = createTcpServer((socket) => {
      const secured = new TLSSocket(socket, {
        isServer: true,
        secureContext: createSecureContext({ key: keyPem, cert }),
      });
      socket.on('error', () => {});
      // Without close_notify, as many servers end a connection.
      secured.on('error', () => {}).once('data', () => secured.write(said, () => socket.end()));
    }).listen(0, '127.0.0.1');
    await once(raw, 'listening');
    t.teardown(() => raw.close());
    const cut = { url: `https://127.0.0.1:${(raw.address() as AddressInfo).port}`, tls: { verify: false } };
    await edge.applied(await edge.serve('shop', [host], [cut]));
    const at = { port: edge.httpsPort, host, root: edge.root };
    for (const head of [
      'content-length: 10',
      'transfer-encoding: chunked',
      'connection: close\r\ncontent-length: 10',
    ]) {
      said = `HTTP/1.1 200 OK\r\n${head}\r\n\r\n4\r\nhalf\r\n`.slice(0, -1);
      await t.rejects(fetchThrough(at), head);
    }
    said = 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nwhole';
    t.match(await fetchThrough(at), { status: 200, body: 'whole' });
  },
);
