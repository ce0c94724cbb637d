import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const path = '/v1/certificates';
const dayMs = 86_400_000;

t.test(
  'a certificate of an issuer is served and renewed as a managed one, and no issuer is asked for it',
  async (t) => {
    const { call, store, sealers, acknowledge } = await startControlPlane(t, testFolder(t));
    acknowledge('edge-1');
    const host = 'shop.example.com';
    const body = { ...(await makeCertificate(host)), issuer: 'internal' };
    const made = await call('POST', path, { body });
    t.match(made, { status: 201, body: { id: host, origin: 'managed', issuer: 'internal', names: [host] } });
    const { fingerprint256, notBefore, notAfter } = made.body;
    const record = await store.get('certificate', host);
    t.equal(sealers.edges.open(record?.value.sealedKey ?? '', `certificate/${host}`).trim(), body.key.trim());
    t.ok(
      (await store.get('order', host))?.value.unusedSince,
      'kept for a while until a route names its host',
    );

    const route = { hosts: [host], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
    const created = await call('POST', '/v1/routes', { body: route, headers: { prefer: 'wait=60' } });
    t.match(created, { status: 201, body: { status: { state: 'live' } } });
    t.match((await store.get('order', host))?.value, { attempts: 0, unusedSince: null });
    t.strictSame((await call('GET', `${path}/${host}/attempts`)).body.attempts ?? [], []);
    const { body: managed } = await call('GET', `${path}/${host}`);
    t.equal(managed.fingerprint256, fingerprint256);
    const lifetimeMs = Date.parse(notAfter) - Date.parse(notBefore);
    const share = (Date.parse(managed.renewAt) - Date.parse(notBefore)) / lifetimeMs;
    t.ok(share > 0.6 && share < 0.67, 'renewed when its turn comes');

    const again = await call('POST', path, { body });
    t.match(again, { status: 200, body: { id: host, fingerprint256 } }, 'the same again changes nothing');
    t.equal((await store.get('certificate', host))?.revision, record?.revision);
    const shorter = { ...(await makeCertificate(host, { lifetimeMs: 30 * dayMs })), issuer: 'internal' };
    t.match(await call('POST', path, { body: shorter }), { status: 200, body: { fingerprint256 } });
    const longer = { ...(await makeCertificate(host, { lifetimeMs: 120 * dayMs })), issuer: 'internal' };
    const replaced = await call('POST', path, { body: longer });
    t.equal(replaced.status, 201);
    t.not(replaced.body.fingerprint256, fingerprint256, 'one that lasts longer takes its place');
  },
);

t.test('a certificate of an issuer that nobody knows is refused, by the field', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const body = { ...(await makeCertificate('shop.example.com')), issuer: 'nobody' };
  const answer = await call('POST', path, { body });
  t.match(answer, { status: 400, body: { code: 'invalid_request', errors: [{ pointer: '/issuer' }] } });
  t.equal(await store.count('certificate'), 0);
});
