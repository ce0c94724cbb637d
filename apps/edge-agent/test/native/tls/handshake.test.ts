import { once } from 'node:events';
import { type ConnectionOptions, connect } from 'node:tls';
import t from 'tap';
import { connectTls, tlsVersions } from '../../connect-tls.ts';
import { fetchThrough } from '../../fetch-through.ts';
import { startWorker } from '../../start-worker.ts';

/** The subject names of the certificate a client is shown; rejects with the handshake's error. */
async function namesShown(port: number, options: ConnectionOptions): Promise<string> {
  const socket = await connectTls(port, options);
  const { subjectaltname } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname!;
}

for (const version of tlsVersions) {
  t.test(
    `${version}: the certificate is chosen by server name, exact before wildcard, in any case`,
    async (t) => {
      const edge = await startWorker(t);
      const upstream = 'http://127.0.0.1:1';
      await edge.serve('a', ['a.example.com'], [upstream]);
      await edge.serve('b', ['b.example.com'], [upstream]);
      await edge.applied(await edge.serve('w', ['*.example.com'], [upstream]));
      const shown = (servername: string) =>
        namesShown(edge.httpsPort, { servername, ca: edge.root, maxVersion: version, minVersion: version });
      t.match(await shown('a.example.com'), 'a.example.com');
      t.match(await shown('b.example.com'), 'b.example.com');
      t.match(await shown('B.Example.COM'), 'b.example.com');
      t.equal(await shown('c.example.com'), 'DNS:*.example.com');
      await t.rejects(shown('d.c.example.com'), 'a wildcard stands for one label');
    },
  );

  t.test(`${version}: an unknown name is refused with unrecognized_name`, async (t) => {
    const edge = await startWorker(t);
    await edge.applied(await edge.serve('a', ['a.example.com'], ['http://127.0.0.1:1']));
    await t.rejects(
      connectTls(edge.httpsPort, {
        servername: 'unknown.example.org',
        minVersion: version,
        maxVersion: version,
      }),
      { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' },
    );
    t.same(edge.worker.figures().handshakeFailures, { unknown_name: 1 });
  });

  t.test(`${version}: no name is a handshake failure; there is no default certificate`, async (t) => {
    const edge = await startWorker(t);
    await edge.applied(await edge.serve('a', ['a.example.com'], ['http://127.0.0.1:1']));
    await t.rejects(connectTls(edge.httpsPort, { minVersion: version, maxVersion: version }), {
      code: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
    });
    t.same(edge.worker.figures().handshakeFailures, { no_name: 1 });
  });

  t.test(`${version}: a session resumes`, async (t) => {
    const edge = await startWorker(t);
    await edge.applied(await edge.serve('a', ['a.example.com'], ['http://127.0.0.1:1']));
    const options = { servername: 'a.example.com', ca: edge.root, minVersion: version, maxVersion: version };
    const first = connect({ host: '127.0.0.1', port: edge.httpsPort, ...options });
    const [session] = await once(first, 'session');
    first.destroy();
    const second = await connectTls(edge.httpsPort, { ...options, session });
    t.ok(second.isSessionReused());
    second.destroy();
  });
}

t.test('TLS 1.1 is refused', async (t) => {
  const edge = await startWorker(t);
  await edge.applied(await edge.serve('a', ['a.example.com'], ['http://127.0.0.1:1']));
  await t.rejects(
    connectTls(edge.httpsPort, {
      servername: 'a.example.com',
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    }),
  );
});

t.test(
  'keeps the old certificate when the new one cannot be used, reports why, and takes a later good one',
  async (t) => {
    const edge = await startWorker(t);
    const host = 'a.example.com';
    const put = (value: Awaited<ReturnType<typeof edge.certificateRecord>>) =>
      edge.commit({ op: 'put', kind: 'certificate', id: host, value });
    await edge.applied(await edge.serve('a', [host], ['http://127.0.0.1:1']));
    const serial = async () => {
      const socket = await connectTls(edge.httpsPort, { servername: host, ca: edge.root });
      const { serialNumber } = socket.getPeerX509Certificate()!;
      socket.destroy();
      return serialNumber;
    };
    const before = await serial();

    const good = await edge.certificateRecord(host);
    const other = await edge.certificateRecord('b.example.com');
    const bad = {
      'another key': { ...good, chain: (await startWorker(t)).root },
      'not PEM': { ...good, chain: 'nonsense' },
      'another host': { ...good, chain: other.chain },
      'sealed for another record': { ...good, sealedKey: other.sealedKey },
    };
    for (const [what, record] of Object.entries(bad)) {
      const position = await put(record);
      await edge.applied(position);
      t.equal(await serial(), before, what);
      const [refusal, ...more] = edge.status().refusals;
      t.match(refusal, { kind: 'certificate', id: host, revision: position.number, reason: /\w+ \w+/ }, what);
      t.notMatch(refusal!.reason, /PRIVATE|BEGIN/);
      t.same(more, []);
    }
    await edge.applied(await put(good));
    t.not(await serial(), before);
    t.same(edge.status().refusals, []);
  },
);

t.test('a route is removed together with its certificate without touching other hosts', async (t) => {
  const edge = await startWorker(t);
  await edge.serve('a', ['a.example.com'], ['http://127.0.0.1:1']);
  await edge.serve('b', ['b.example.com'], ['http://127.0.0.1:1']);
  await edge.applied(
    await edge.commit(
      { op: 'delete', kind: 'route', id: 'a' },
      { op: 'delete', kind: 'certificate', id: 'a.example.com' },
    ),
  );
  const at = { port: edge.httpsPort, root: edge.root };
  await t.rejects(fetchThrough({ ...at, host: 'a.example.com' }), {
    message: /unrecognized name/,
  });
  t.equal((await fetchThrough({ ...at, host: 'b.example.com' })).status, 502);
});
