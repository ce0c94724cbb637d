import { createSqliteStore } from '@lockstep/store';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { findBrought } from '../../src/certificates/brought.ts';
import { putCertificate } from '../../src/certificates/certificate-record.ts';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const path = '/v1/certificates';
const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };

t.test('brings a certificate once, its key sealed and never shown', async (t) => {
  const { call, store, sealers, report } = await startControlPlane(t, testFolder(t));
  const body = await makeCertificate('shop.example.com');
  const made = await call('POST', path, { body });
  t.equal(made.status, 201);
  const { id } = made.body;
  t.match(id, /^brought_[0-9a-f]{20}$/);
  t.equal(made.headers.get('location'), `${path}/${id}`);
  t.match(made.body, {
    origin: 'brought',
    issuer: 'brought',
    names: ['shop.example.com'],
    state: 'deploying',
    renewAt: null,
    expiresSoon: false,
    lastError: null,
  });
  t.notMatch(made.text, /PRIVATE KEY|v1\./);
  const record = await store.get('certificate', id);
  t.equal(sealers.edges.open(record?.value.sealedKey ?? '', `certificate/${id}`).trim(), body.key.trim());

  const again = await call('POST', path, { body });
  t.match(again, { status: 200, body: { id } }, 'the same leaf again is the same certificate');
  t.equal((await store.get('certificate', id))?.revision, record?.revision);
  await report('edge-1');
  t.equal((await call('GET', `${path}/${id}`)).body.state, 'live');
  t.equal((await call('DELETE', `${path}/${id}`)).status, 204);
  t.equal((await call('GET', `${path}/${id}`)).status, 404);
  t.equal((await call('DELETE', `${path}/${id}`)).status, 404);
});

t.test('refuses what cannot be served, and points at the chain or the key', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const { chain, key } = await makeCertificate('shop.example.com');
  const other = await makeCertificate('shop.example.com');
  const old = await makeCertificate('shop.example.com', { now: Date.now() - 10_000_000, lifetimeMs: 1_000 });
  const cases: [unknown, string][] = [
    [{ chain, key: other.key }, '/key'],
    [{ chain, key: 'none' }, '/key'],
    [{ chain: 'none', key }, '/chain'],
    [old, '/chain'],
    [{ chain }, '/key'],
  ];
  for (const [body, pointer] of cases) {
    const answer = await call('POST', path, { body });
    t.match(answer, { status: 400, body: { code: 'invalid_request', errors: [{ pointer }] } });
    t.notMatch(answer.text, /PRIVATE/);
  }
  t.equal(await store.count('certificate'), 0);
});

t.test('is neither renewed nor revoked here', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const { id } = (await call('POST', path, { body: await makeCertificate('shop.example.com') })).body;
  for (const what of ['renew', 'revoke']) {
    const answer = await call('POST', `${path}/${id}/${what}`);
    t.match(answer, { status: 409, body: { code: 'wrong_state', detail: /was brought.*POST/ } }, what);
  }
  t.strictSame((await call('GET', `${path}/${id}/attempts`)).body, { items: [] });
});

t.test('makes its hosts live when the nodes have it, before any managed one', async (t) => {
  const { call, report, store } = await startControlPlane(t, testFolder(t));
  await call('PUT', '/v1/routes/shop', { body: { ...shop, hosts: ['shop.example.com', 'a.example.net'] } });
  // This edge acknowledges nothing that comes later, so the internal CA's certificates do not make the route live.
  await report('edge-1', { applied: await store.head() });
  await call('POST', path, { body: await makeCertificate('shop.example.com') });
  const waiting = call('PATCH', '/v1/routes/shop', {
    body: { hosts: ['shop.example.com', 'b.example.net'] },
    headers: { prefer: 'wait=20' },
  });
  const wildcard = await call('POST', path, { body: await makeCertificate('*.example.net') });
  await report('edge-1');
  const { status, body } = await waiting;
  t.equal(status, 200);
  t.equal(body.status.state, 'live');
  t.match(body.status.certificates, [
    { id: /^brought_/, host: 'shop.example.com', state: 'live', lastError: null, nextAttemptAt: null },
    { id: wildcard.body.id, host: 'b.example.net', state: 'live' },
  ]);
});

t.test('of several, edges and the API choose alike: valid, exact, lasting longest', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const put = (id: string, names: string[], notBefore: string, notAfter: string) =>
    store.commit({
      id,
      changes: [
        putCertificate(id, {
          host: names[0] ?? '',
          names,
          issuer: 'brought',
          chain: '',
          sealedKey: '',
          serialNumber: '',
          fingerprint256: '',
          notBefore,
          notAfter,
          issuedAt: notBefore,
        }),
      ],
    });
  const hosts = ['a.example.com', 'b.example.com', '*.example.com', 'a.b.example.com', 'example.com'];
  const find = async (now: string) => {
    const found = await findBrought(store, hosts, Date.parse(now));
    return hosts.map((host) => found.get(host)?.id ?? null);
  };
  t.strictSame(await find('2026-02-01'), [null, null, null, null, null], 'none at all');
  await put('wild', ['*.example.com', 'example.com'], '2026-01-01', '2026-12-01');
  await put('short', ['a.example.com'], '2026-01-01', '2026-03-01');
  await put('long', ['a.example.com'], '2026-02-15', '2026-04-01');
  t.strictSame(await find('2026-02-01'), ['short', 'wild', 'wild', null, 'wild']);
  t.strictSame(await find('2026-02-20'), ['long', 'wild', 'wild', null, 'wild']);
  t.strictSame(await find('2026-05-01'), ['wild', 'wild', 'wild', null, 'wild'], 'the exact ones expired');
  t.strictSame(await find('2027-01-01'), [null, null, null, null, null]);
});
