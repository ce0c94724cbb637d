import { once } from 'node:events';
import { connect as connectH2 } from 'node:http2';
import { connect as connectPlain } from 'node:net';
import { text } from 'node:stream/consumers';
import type { ConnectionOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { hostOf } from '../../../src/native/tls/server-name.ts';
import type { EdgeChange } from '../../configured-store.ts';
import { connectTls } from '../../connect-tls.ts';
import { fetchPlain } from '../../fetch-plain.ts';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'a.example.com';
const healthPath = '/.well-known/lockstep/health';

async function start(t: Test) {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (request, response) => response.end(request.headers.host));
  await edge.applied(await edge.serve('a', [host, '*.wild.example.com'], [url]));
  const set = async (tls: NonNullable<EdgeChange['tls']>) =>
    edge.applied(await edge.commit(edge.settingsChange(null, { tls })));
  return { edge, url, set };
}

/** What a handshake agrees on; the error's code where it agrees on nothing. */
async function agreed(port: number, options: ConnectionOptions) {
  try {
    const socket = await connectTls(port, { rejectUnauthorized: false, ...options });
    const { name: cipher } = socket.getCipher();
    const group = (socket.getEphemeralKeyInfo() as { name?: string }).name;
    const subject = socket.getPeerX509Certificate()?.subjectAltName;
    const found = { version: socket.getProtocol(), cipher, group, subject };
    socket.destroy();
    return found;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

t.test('the key agreement holds against quantum computers where a client has it', async (t) => {
  const { edge } = await start(t);
  t.match(await agreed(edge.httpsPort, { servername: host }), {
    version: 'TLSv1.3',
    group: 'X25519MLKEM768',
  });
  const classic = await agreed(edge.httpsPort, { servername: host, ecdhCurve: 'X25519' });
  t.match(classic, { version: 'TLSv1.3', group: 'X25519' });
});

t.test('the oldest version and the suites are as set, in force without a restart', async (t) => {
  const { edge, set } = await start(t);
  const old: ConnectionOptions = { servername: host, maxVersion: 'TLSv1.2' };
  const cipher = 'ECDHE-ECDSA-AES128-GCM-SHA256';
  t.match(await agreed(edge.httpsPort, old), { version: 'TLSv1.2', cipher });
  const weak = { ...old, ciphers: 'ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256@SECLEVEL=0' };
  t.match(await agreed(edge.httpsPort, weak), /HANDSHAKE_FAILURE/, 'no CBC');
  const oldest: ConnectionOptions = {
    ...old,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'ALL@SECLEVEL=0',
  };
  t.match(await agreed(edge.httpsPort, oldest), /PROTOCOL_VERSION/);
  for (const tls of [{ minVersion: '1.3' }, { profile: 'modern' }] as const) {
    await set(tls);
    t.match(await agreed(edge.httpsPort, old), /PROTOCOL_VERSION/, JSON.stringify(tls));
    t.match(await agreed(edge.httpsPort, { servername: host }), { version: 'TLSv1.3' });
    await set({});
    t.match(await agreed(edge.httpsPort, old), { version: 'TLSv1.2' });
  }
});

t.test(
  'clients that name no host are shown the certificate that is set for them, as it is renewed',
  async (t) => {
    const { edge, set } = await start(t);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      t.type(await agreed(edge.httpsPort, { maxVersion }), 'string', 'refused without one');
      await set({ noSniCertificate: host });
      t.match(await agreed(edge.httpsPort, { maxVersion }), { subject: `DNS:${host}` });
      t.match(await agreed(edge.httpsPort, { maxVersion, servername: 'b.example.com' }), /UNRECOGNIZED_NAME/);
      await edge.applied(await edge.commit({ op: 'delete', kind: 'certificate', id: host }));
      t.type(await agreed(edge.httpsPort, { maxVersion }), 'string', 'refused once it is gone');
      const value = await edge.certificateRecord(host);
      await edge.applied(await edge.commit({ op: 'put', kind: 'certificate', id: host, value }));
      t.match(await agreed(edge.httpsPort, { maxVersion }), { subject: `DNS:${host}` }, 'and shown again');
      await set({});
    }
  },
);

t.test('clients that come by an IP address are shown its certificate, and served as its host', async (t) => {
  const { edge, url, set } = await start(t);
  await edge.applied(await edge.serve('ip', ['10.0.0.1', '127.0.0.1', '[2001:db8::9]'], [url]));
  const shown = (options: ConnectionOptions) => agreed(edge.httpsPort, options);
  const ALPNProtocols = ['http/1.1'];
  t.match(await shown({ ALPNProtocols }), { version: 'TLSv1.3', subject: 'IP Address:127.0.0.1' });
  // Behind a balancer the edge sees another address than its clients; and TLS 1.2 is chosen for before the address is looked at.
  for (const options of [{}, { ALPNProtocols, maxVersion: 'TLSv1.2' as const }])
    t.match(await shown(options), { subject: 'IP Address:10.0.0.1' }, 'else the first that there is');
  await set({ noSniCertificate: '[2001:db8::9]' });
  t.match(await shown({}), { subject: 'IP Address:2001:DB8:0:0:0:0:0:9' }, 'or the one that is set');
  t.match(await shown({ ALPNProtocols }), { subject: 'IP Address:127.0.0.1' });

  for (const named of ['2001:DB8::9', '[2001:db8:0::9]', '[2001:db8::9]'])
    t.equal(hostOf(named), '[2001:db8::9]', 'some name it in their handshake all the same');

  const ask = async (asked: string, options: ConnectionOptions) => {
    const socket = await connectTls(edge.httpsPort, { rejectUnauthorized: false, ...options });
    socket.write(`GET / HTTP/1.1\r\nHost: ${asked}\r\nConnection: close\r\n\r\n`);
    return (await text(socket)).slice(9, 12);
  };
  t.equal(await ask('127.0.0.1:8443', { ALPNProtocols }), '200');
  t.equal(await ask('10.0.0.1', { ALPNProtocols }), '421', 'another’s certificate');
  t.equal(await ask('[2001:DB8:0::9]:443', {}), '200', 'however it is written');
  await edge.applied(await edge.commit({ op: 'delete', kind: 'certificate', id: '127.0.0.1' }));
  t.match(await shown({ ALPNProtocols }), { subject: /2001:DB8/ });
});

t.test('a request for a host that the connection’s certificate does not cover is misdirected', async (t) => {
  const { edge, url, set } = await start(t);
  await edge.applied(await edge.serve('b', ['b.example.com', 'one.wild.example.com'], [url]));
  const ask = (servername: string, asked: string) =>
    fetchThrough({
      port: edge.httpsPort,
      root: edge.root,
      host: servername,
      servername,
      headers: { host: asked },
    });
  t.match(await ask(host, host), { status: 200, body: host });
  const misdirected = await ask(host, 'b.example.com');
  t.match(misdirected, { status: 421, body: /"code":"misdirected"/ });
  t.match(await ask(host, 'nowhere.example.com'), { status: 404 });
  t.match(
    await ask('two.wild.example.com', 'three.wild.example.com'),
    { status: 200 },
    'a wildcard covers more',
  );
  t.match(await ask('two.wild.example.com', 'one.wild.example.com'), { status: 200 });
  t.match(await ask('one.wild.example.com', 'two.wild.example.com'), { status: 421 });

  const session = connectH2(`https://127.0.0.1:${edge.httpsPort}`, { servername: host, ca: edge.root });
  t.teardown(() => session.destroy());
  const over2 = async (authority: string) => {
    const stream = session.request({ ':authority': authority });
    const [head] = await once(stream, 'response');
    await text(stream);
    return head[':status'];
  };
  t.same([await over2(host), await over2('b.example.com'), await over2(host)], [200, 421, 200]);

  await set({ noSniCertificate: host });
  const nameless = async (asked: string) => {
    const socket = await connectTls(edge.httpsPort, { rejectUnauthorized: false });
    socket.write(`GET / HTTP/1.1\r\nHost: ${asked}\r\nConnection: close\r\n\r\n`);
    return (await text(socket)).slice(9, 12);
  };
  t.same([await nameless(host), await nameless('b.example.com')], ['200', '421']);
});

t.test('a balancer is told that the edge takes traffic, without a host of anybody’s', async (t) => {
  const { edge, set } = await start(t);
  t.match(await fetchPlain(edge.httpPort, healthPath, '127.0.0.1'), { status: 200, body: 'ok\n' });
  t.match(await fetchPlain(edge.httpPort, healthPath, host), { status: 308 }, 'a customer’s path is theirs');
  const bare = connectPlain(edge.httpPort, '127.0.0.1');
  bare.write(`GET ${healthPath} HTTP/1.0\r\n\r\n`);
  t.match(await text(bare), /^HTTP\/1.1 200/);
  await set({ noSniCertificate: host });
  const ask = async () => {
    const socket = await connectTls(edge.httpsPort, { rejectUnauthorized: false });
    socket.write(`GET ${healthPath} HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n`);
    return text(socket);
  };
  t.match(await ask(), /^HTTP\/1.1 200 .*ok\n$/s);
  edge.worker.setDrained(true);
  t.match(await ask(), /^HTTP\/1.1 503 .*drained\n$/s);
  t.match(await fetchPlain(edge.httpPort, healthPath, '127.0.0.1'), { status: 503 });
});
