import { X509Certificate } from 'node:crypto';
import type { CertificateRecord } from '@lockstep/contract';
import t from 'tap';
import { fingerprintShown } from '../../connect-tls.ts';
import { type ServingWorker, startWorker } from '../../start-worker.ts';

const upstreams = ['http://127.0.0.1:1'];
const hour = 3_600_000;
const inHours = (hours: number) => new Date(Date.now() + hours * hour).toISOString();
const fingerprintOf = ({ chain }: CertificateRecord) => new X509Certificate(chain).fingerprint256;

const shown = ({ httpsPort, root }: ServingWorker, servername: string) =>
  fingerprintShown(httpsPort, { servername, ca: root });

async function bring(edge: ServingWorker, id: string, value: CertificateRecord): Promise<string> {
  await edge.applied(await edge.commit({ op: 'put', kind: 'certificate', id, value }));
  return fingerprintOf(value);
}

async function managed(edge: ServingWorker, host: string): Promise<string> {
  await edge.applied(await edge.serve(host.replaceAll(/[.*]/g, '-'), [host], upstreams));
  return fingerprintOf((await edge.store.get('certificate', host))!.value);
}

t.test(
  'brought certificates go before managed ones, exact before wildcard, the longest-lived first',
  async (t) => {
    const edge = await startWorker(t);
    const name = 'a.example.com';
    const wildcard = await managed(edge, '*.example.com');
    t.equal(await shown(edge, name), wildcard);
    const exact = await managed(edge, name);
    t.equal(await shown(edge, name), exact);
    const brought = (id: string, host: string, hours: number) =>
      edge.broughtRecord(id, host, { notAfter: inHours(hours) });
    const broughtWildcard = await bring(edge, 'w', await brought('w', '*.example.com', 10));
    t.equal(await shown(edge, name), broughtWildcard);
    const short = await bring(edge, 'short', await brought('short', name, 1));
    t.equal(await shown(edge, name), short);
    const long = await bring(edge, 'long', await brought('long', name, 2));
    t.equal(await shown(edge, name), long);
    await bring(edge, 'shortest', await brought('shortest', name, 0.5));
    t.equal(await shown(edge, name), long);
    t.equal(await shown(edge, 'b.example.com'), broughtWildcard);

    const remove = async (id: string) =>
      edge.applied(await edge.commit({ op: 'delete', kind: 'certificate', id }));
    await remove('long');
    t.equal(await shown(edge, name), short);
    await remove('shortest');
    await remove('short');
    t.equal(await shown(edge, name), broughtWildcard);
    await remove('w');
    t.equal(await shown(edge, name), exact);
    t.equal(await shown(edge, 'b.example.com'), wildcard);
  },
);

t.test(
  'the managed certificate takes over when a brought one expires; alone, that one is better than none',
  async (t) => {
    const edge = await startWorker(t);
    const name = 'a.example.com';
    const expired = { notAfter: inHours(-1) };
    const alone = await bring(edge, 'alone', await edge.broughtRecord('alone', 'b.example.com', expired));
    t.equal(await shown(edge, 'b.example.com'), alone);
    const own = await managed(edge, name);
    await bring(edge, 'x', await edge.broughtRecord('x', name, expired));
    t.equal(await shown(edge, name), own);
    const good = await bring(edge, 'y', await edge.broughtRecord('y', '*.example.com'));
    t.equal(await shown(edge, name), good, 'a wildcard that is good goes before an exact one that is not');
  },
);

t.test('a brought certificate has to name all that it is brought for, whichever way it comes', async (t) => {
  const name = 'a.example.com';
  const names = [name, 'elsewhere.example.com'];
  const edge = await startWorker(t, {}, async ({ commit, serve, broughtRecord }) => {
    await serve('a', [name], upstreams);
    await commit({
      op: 'put',
      kind: 'certificate',
      id: 'snapshot',
      value: await broughtRecord('snapshot', name, { names }),
    });
  });
  await edge.applied((await edge.store.head())!);
  const own = fingerprintOf((await edge.store.get('certificate', name))!.value);
  t.equal(await shown(edge, name), own);
  await bring(edge, 'commit', await edge.broughtRecord('commit', name, { names }));
  t.equal(await shown(edge, name), own);
  await bring(edge, 'key', await edge.broughtRecord('another', name));
  t.equal(await shown(edge, name), own);
  t.match(
    edge.status().refusals.map(({ id }) => id),
    ['snapshot', 'commit', 'key'],
  );
});

t.test('a managed certificate of a snapshot is not shown for a name that it does not bear', async (t) => {
  const edge = await startWorker(t, {}, async ({ commit, certificateRecord }) => {
    const { chain } = await certificateRecord('b.example.com');
    const value = { ...(await certificateRecord('a.example.com')), chain };
    await commit({ op: 'put', kind: 'certificate', id: 'a.example.com', value });
  });
  await edge.applied((await edge.store.head())!);
  await t.rejects(shown(edge, 'a.example.com'), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
  t.match(edge.status().refusals, [{ id: 'a.example.com', reason: /does not name/ }]);
});

t.test('a brought certificate that changes its names is served for the new ones alone', async (t) => {
  const edge = await startWorker(t);
  await bring(edge, 'x', await edge.broughtRecord('x', 'a.example.com'));
  const next = await bring(edge, 'x', await edge.broughtRecord('x', 'b.example.com'));
  t.equal(await shown(edge, 'b.example.com'), next);
  await t.rejects(shown(edge, 'a.example.com'), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' });
});
