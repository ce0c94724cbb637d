import { freePort, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { startControlPlane } from '../start-control-plane.ts';

const wait = { prefer: 'wait=60' };
const route = (host: string) => ({ hosts: [host], upstreams: [{ url: 'http://127.0.0.1:3000' }] });

t.test('an unreachable CA ends the wait early: 202, failed, with the reason and the next date', async (t) => {
  const directory = `https://127.0.0.1:${await freePort()}/dir`;
  const acme = { directory, email: null, caFile: null };
  const { call, acknowledge } = await startControlPlane(t, testFolder(t), { acme });
  acknowledge('edge-1');
  const { status, body } = await call('POST', '/v1/routes', {
    body: route('shop.example.com'),
    headers: wait,
  });
  t.equal(status, 202);
  t.match(body.status, {
    state: 'failed',
    reason: /the CA cannot be reached/,
    certificates: [{ state: 'failed', nextAttemptAt: String }],
  });
  t.ok(Date.parse(body.status.certificates[0].nextAttemptAt) > Date.now());
  t.equal((await call('GET', `/v1/routes/${body.id}`)).status, 200, 'the route stays');
});

t.test('a changed route is tried again at once', async (t) => {
  const acme = { directory: `https://127.0.0.1:${await freePort()}/dir`, email: null, caFile: null };
  const { call, acknowledge, store } = await startControlPlane(t, testFolder(t), { acme });
  acknowledge('edge-1');
  const { body } = await call('POST', '/v1/routes', { body: route('shop.example.com'), headers: wait });
  const before = await store.get('order', 'shop.example.com');
  await call('PATCH', `/v1/routes/${body.id}`, { body: {}, headers: wait });
  const after = await store.get('order', 'shop.example.com');
  t.ok((after?.revision ?? 0) >= (before?.revision ?? 0) + 2, 'reset, and failed anew');
  t.equal(after?.value.failures, 1);
});

t.test('says that a wildcard needs DNS-01 instead of asking an ACME CA for it', async (t) => {
  const acme = { directory: `https://127.0.0.1:${await freePort()}/dir`, email: null, caFile: null };
  const { call, acknowledge } = await startControlPlane(t, testFolder(t), { acme });
  acknowledge('edge-1');
  const { body } = await call('POST', '/v1/routes', { body: route('*.example.com'), headers: wait });
  t.match(body.status, { state: 'failed', reason: /DNS-01/ });
  t.match((await call('GET', '/v1/certificates/*.example.com/attempts')).body, {
    items: [{ number: 1, outcome: 'failed', detail: /no DNS provider is set up/, next: /tried again at 2/ }],
  });
});

t.test('the internal CA certifies every host of a route, wildcards and IDNs too', async (t) => {
  const { call, acknowledge, store } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  const hosts = ['shop.example.com', '*.example.com', 'bücher.example'];
  const { status, body } = await call('POST', '/v1/routes', {
    body: { ...route('x'), hosts },
    headers: wait,
  });
  t.equal(status, 201);
  t.equal(body.status.certificates.length, 3);
  const { items } = (await call('GET', '/v1/certificates')).body;
  t.same(
    items.map(({ id }: { id: string }) => id),
    ['*.example.com', 'shop.example.com', 'xn--bcher-kva.example'],
  );
  t.match(items[1], {
    issuer: 'internal',
    chain: /BEGIN CERTIFICATE/,
    renewAt: String,
    serialNumber: String,
  });
  t.notMatch(JSON.stringify(items), /PRIVATE KEY|v1\./, 'no key, sealed or not, is shown');
  const record = await store.get('certificate', 'shop.example.com');
  t.match(record?.value.sealedKey, /^v1\./);
});
