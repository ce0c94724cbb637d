import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import t from 'tap';
import { connectTls, fingerprintShown, tlsVersions } from '../../connect-tls.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'a.example.com';
const acme = { servername: host, ALPNProtocols: ['acme-tls/1'], rejectUnauthorized: false };
const fingerprintOf = (pem: string | undefined) => new X509Certificate(pem!).fingerprint256;

for (const version of tlsVersions) {
  const versions = { minVersion: version, maxVersion: version };

  for (const served of [false, true]) {
    t.test(
      `${version}: a pending challenge of a host ${served ? 'with' : 'without'} a certificate is answered, and nothing else served`,
      async (t) => {
        const edge = await startWorker(t);
        if (served) await edge.serve('a', [host], ['http://127.0.0.1:1']);
        const record = await edge.tlsAlpnRecord('token', host);
        await edge.applied(await edge.commit({ op: 'put', kind: 'challenge', id: 'token', value: record }));

        const socket = await connectTls(edge.httpsPort, { ...acme, ...versions });
        t.equal(socket.alpnProtocol, 'acme-tls/1');
        t.equal(
          socket.getPeerX509Certificate()!.fingerprint256,
          fingerprintOf(record.certificate),
          'the challenge’s certificate',
        );
        let received = 0;
        socket.on('data', (chunk) => {
          received += chunk.length;
        });
        socket.on('error', () => {});
        socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
        await once(socket, 'close');
        t.equal(received, 0, 'closed without an answer');

        await edge.applied(await edge.commit({ op: 'delete', kind: 'challenge', id: 'token' }));
        await t.rejects(
          connectTls(edge.httpsPort, { ...acme, ...versions }),
          /no application protocol|unrecognized name/,
          'gone with its record',
        );
      },
    );
  }

  t.test(`${version}: a pending challenge changes nothing for other protocols and other hosts`, async (t) => {
    const edge = await startWorker(t);
    await edge.serve('a', [host], ['http://127.0.0.1:1']);
    await edge.serve('b', ['b.example.com'], ['http://127.0.0.1:1']);
    const ids = { token: host, other: 'new.example.com' };
    const before = await fingerprintShown(edge.httpsPort, { servername: host, ca: edge.root, ...versions });
    for (const [id, name] of Object.entries(ids)) {
      const value = await edge.tlsAlpnRecord(id, name);
      await edge.applied(await edge.commit({ op: 'put', kind: 'challenge', id, value }));
    }
    const cases = [
      [['h2', 'http/1.1'], 'h2'],
      [['http/1.1', 'h2'], 'h2'],
      [['http/1.1'], 'http/1.1'],
      [['acme-tls/1', 'http/1.1'], 'http/1.1'],
      [undefined, false],
    ] as const;
    for (const [offered, chosen] of cases) {
      const socket = await connectTls(edge.httpsPort, {
        servername: host,
        ca: edge.root,
        ...versions,
        ...(offered && { ALPNProtocols: [...offered] }),
      });
      t.equal(socket.alpnProtocol, chosen, `${offered}`);
      t.equal(socket.getPeerX509Certificate()!.fingerprint256, before);
      socket.destroy();
    }
    await t.rejects(
      connectTls(edge.httpsPort, { ...acme, ...versions, servername: 'b.example.com' }),
      /no application protocol/,
    );
    await t.rejects(
      connectTls(edge.httpsPort, { ...acme, ...versions, servername: 'unknown.example.com' }),
      /no application protocol|unrecognized name/,
    );
    await t.rejects(
      connectTls(edge.httpsPort, {
        servername: 'new.example.com',
        ALPNProtocols: ['http/1.1'],
        rejectUnauthorized: false,
        ...versions,
      }),
      /no application protocol|unrecognized name/,
      'the certificate of a challenge is for the CA alone',
    );
  });
}

t.test('a challenge that cannot be answered is refused and reported; the others are answered', async (t) => {
  const edge = await startWorker(t);
  const good = await edge.tlsAlpnRecord('good', host);
  const { certificate: _, ...bare } = await edge.tlsAlpnRecord('bare', 'b.example.com');
  const foreign = await edge.tlsAlpnRecord('another id', 'c.example.com');
  const misnamed = { ...(await edge.tlsAlpnRecord('misnamed', 'd.example.com')), host: 'e.example.com' };
  await edge.applied(
    await edge.commit(
      { op: 'put', kind: 'challenge', id: 'bare', value: bare },
      { op: 'put', kind: 'challenge', id: 'good', value: good },
      { op: 'put', kind: 'challenge', id: 'foreign', value: foreign },
      { op: 'put', kind: 'challenge', id: 'misnamed', value: misnamed },
    ),
  );
  t.match(
    edge.status().refusals.map(({ kind, id }) => `${kind}/${id}`),
    ['challenge/bare', 'challenge/foreign', 'challenge/misnamed'],
  );
  t.equal(await fingerprintShown(edge.httpsPort, acme), fingerprintOf(good.certificate));
  await edge.applied(await edge.commit({ op: 'delete', kind: 'challenge', id: 'bare' }));
  t.equal(edge.status().refusals.length, 2);
});

t.test('challenges of a snapshot are answered too', async (t) => {
  const edge = await startWorker(t, {}, async ({ commit, tlsAlpnRecord }) => {
    await commit({ op: 'put', kind: 'challenge', id: 'token', value: await tlsAlpnRecord('token', host) });
  });
  const { value } = (await edge.store.get('challenge', 'token'))!;
  await edge.applied((await edge.store.head())!);
  t.equal(await fingerprintShown(edge.httpsPort, acme), fingerprintOf(value.certificate));
});
