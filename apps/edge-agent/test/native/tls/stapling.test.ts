import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, type SecureVersion } from 'node:tls';
import type { StapleRecord } from '@lockstep/contract';
import t from 'tap';
import { tlsVersions } from '../../connect-tls.ts';
import { type ServingWorker, startWorker } from '../../start-worker.ts';

const host = 'a.example.com';
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

/** What is stapled: for the edge, any bytes. Null: nothing. */
async function stapled(edge: ServingWorker, version: SecureVersion, ALPNProtocols = ['h2']) {
  const socket = connect({
    host: '127.0.0.1',
    port: edge.httpsPort,
    servername: host,
    ca: edge.root,
    requestOCSP: true,
    minVersion: version,
    maxVersion: version,
    ALPNProtocols,
  });
  const [[response]] = await Promise.all([once(socket, 'OCSPResponse'), once(socket, 'secureConnect')]);
  socket.destroy();
  return response === null ? null : String(response);
}

async function stapleRecord(edge: ServingWorker, change: Partial<StapleRecord> = {}): Promise<StapleRecord> {
  const { value } = (await edge.store.get('certificate', host))!;
  return {
    fingerprint256: new X509Certificate(value.chain).fingerprint256,
    url: 'http://ocsp.example.com',
    response: Buffer.from('first').toString('base64'),
    nextUpdate: inAnHour(),
    failures: 0,
    lastError: null,
    dueAt: inAnHour(),
    ...change,
  };
}

for (const version of tlsVersions) {
  t.test(
    `${version}: the response for the certificate that is shown is stapled while it is current`,
    async (t) => {
      const edge = await startWorker(t);
      await edge.applied(await edge.serve('a', [host], ['http://127.0.0.1:1']));
      const put = async (change?: Partial<StapleRecord>) =>
        edge.applied(
          await edge.commit({
            op: 'put',
            kind: 'staple',
            id: host,
            value: await stapleRecord(edge, change),
          }),
        );
      t.equal(await stapled(edge, version), null, 'none yet');
      const { certificatesBuilt } = edge.worker.figures();
      await put();
      t.equal(await stapled(edge, version), 'first');
      t.equal(await stapled(edge, version, ['http/1.1']), 'first');
      await put({ response: Buffer.from('second').toString('base64') });
      t.equal(await stapled(edge, version), 'second');
      await put({ nextUpdate: new Date(Date.now() - 1_000).toISOString() });
      t.equal(await stapled(edge, version), null, 'no longer current');
      await put({ response: null });
      t.equal(await stapled(edge, version), null);
      await put({ fingerprint256: 'AA:BB' });
      t.equal(await stapled(edge, version), null, 'of another certificate');
      await put();
      t.equal(await stapled(edge, version), 'first');
      t.equal(edge.worker.figures().certificatesBuilt, certificatesBuilt, 'no context was built for it');

      const value = await edge.certificateRecord(host);
      await edge.applied(await edge.commit({ op: 'put', kind: 'certificate', id: host, value }));
      t.equal(await stapled(edge, version), null, 'the certificate was renewed, its staple not yet');
      await put();
      t.equal(await stapled(edge, version), 'first');
      await edge.applied(await edge.commit({ op: 'delete', kind: 'staple', id: host }));
      t.equal(await stapled(edge, version), null);
    },
  );
}
