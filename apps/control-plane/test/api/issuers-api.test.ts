import { createAuthority } from '@lockstep/pki';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { findOrMakeAuthority } from '../../src/issuers/authority.ts';
import { createKnownIssuers, openIssuer } from '../../src/issuers/known-issuers.ts';
import { isRefusal } from '../../src/issuers/ledger/ledger.ts';
import { createLedger } from '../../src/issuers/ledger/token-ledger.ts';
import { startControlPlane } from '../start-control-plane.ts';

const directory = 'https://acme.example.net/dir';
const hmacKey = 'c2VjcmV0LWhtYWMta2V5';
const acme = { directory, email: 'ops@example.net', caFile: null };
const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };

t.test('lists what was put, the environment’s and the internal CA, by name and in pages', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t), { acme });
  await call('PUT', '/v1/issuers/zero', { body: { type: 'zerossl', email: 'ops@example.net' } });
  const { body } = await call('GET', '/v1/issuers?limit=2');
  t.match(body, {
    items: [
      {
        name: 'acme',
        type: 'acme',
        source: 'environment',
        directory,
        email: 'ops@example.net',
        revision: null,
      },
      { name: 'internal', type: 'internal', source: 'built-in', lifetimeHours: 2160, directory: null },
    ],
    next: 'internal',
  });
  t.match((await call('GET', '/v1/issuers?limit=2&cursor=internal')).body, {
    items: [{ name: 'zero', source: 'api', directory: /acme\.zerossl\.com/, revision: Number }],
    next: null,
  });
  t.match(await call('GET', '/v1/issuers/nowhere'), {
    status: 404,
    body: { code: 'not_found', issuer: 'nowhere' },
  });
});

t.test('PUT makes an issuer (201) and replaces it (200); a directory alone means ACME', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const made = await call('PUT', '/v1/issuers/le', { body: { directory } });
  t.equal(made.status, 201);
  t.equal(made.headers.get('location'), '/v1/issuers/le');
  t.match(made.body, { name: 'le', type: 'acme', keyType: 'ecdsa-p256', secrets: [], accountUrl: null });
  const { certificate: roots } = await createAuthority();
  const replaced = await call('PUT', '/v1/issuers/le', {
    body: { directory, roots, profile: 'shortlived', challenges: ['dns-01', 'dns-01', 'http-01'] },
  });
  t.match(replaced, {
    status: 200,
    body: { roots, profile: 'shortlived', challenges: ['dns-01', 'http-01'] },
  });
  t.strictSame((await call('GET', '/v1/issuers/le')).body, replaced.body);
});

t.test('secrets are sealed, shown by name only, and kept while they belong to the same', async (t) => {
  const { call, store, sealers } = await startControlPlane(t, testFolder(t));
  const known = createKnownIssuers({ store, acme: null, rootsPem: null });
  const opened = async () => {
    const [issuer] = await known.getMany(['gts']);
    return issuer == null ? null : openIssuer(issuer, sealers.controlPlanes);
  };
  const dnsProvider = { type: 'cloudflare', token: 'a-token-of-cloudflare' };
  const put = (body: object) => call('PUT', '/v1/issuers/gts', { body: { directory, ...body } });
  const made = await put({ eab: { kid: 'k1', hmacKey }, dnsProvider });
  t.match(made, { status: 201, body: { eab: { kid: 'k1' }, secrets: ['eab.hmacKey', 'dnsProvider.token'] } });
  t.notMatch(made.text + JSON.stringify(await store.get('issuer', 'gts')), /c2Vjcm|a-token-of/);
  t.match(await opened(), { eab: { kid: 'k1', hmacKey }, dnsProvider });

  t.equal((await put({ eab: { kid: 'k1' }, dnsProvider: { type: 'cloudflare' } })).status, 200);
  t.match(await opened(), { eab: { kid: 'k1', hmacKey }, dnsProvider }, 'left out, and kept');
  t.match((await put({ eab: { kid: 'k2' } })).body.errors, [{ pointer: '/eab/hmacKey' }], 'another kid');
  const elsewhere = { ...dnsProvider, token: undefined, url: 'https://cloudflare.example.net' };
  t.match((await put({ dnsProvider: elsewhere })).body.errors, [{ pointer: '/dnsProvider/token' }]);
  t.match(
    (await put({})).body,
    { eab: null, dnsProvider: null, secrets: [] },
    'gone with what they belong to',
  );
});

t.test('a ZeroSSL issuer keeps its API key, and an issuer of another type gets none of it', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const put = (body: object) => call('PUT', '/v1/issuers/zero', { body });
  const apiKey = 'a-key-of-zerossl';
  t.match(await put({ type: 'zerossl', apiKey }), { status: 201, body: { secrets: ['apiKey'] } });
  const kept = await put({ type: 'zerossl', keyType: 'rsa-2048' });
  t.match(kept, { status: 200, body: { secrets: ['apiKey'], keyType: 'rsa-2048' } });
  t.notMatch(kept.text, /a-key-of-zerossl/);
  t.match((await put({ directory })).body, { type: 'acme', secrets: [] });
  t.match((await put({ type: 'zerossl' })).body.errors, [{ pointer: '/apiKey' }]);
});

t.test('what GET shows can be put again', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const path = '/v1/issuers/gts';
  const given = {
    directory,
    eab: { kid: 'k1', hmacKey },
    limits: { newOrders: { count: 5, refillSeconds: 9 } },
  };
  const made = (await call('PUT', path, { body: given })).body;
  const { name, source, secrets, accountUrl, revision, ...shown } = made;
  const again = await call('PUT', path, { body: { ...shown, email: 'ops@example.net' } });
  t.match(again, { status: 200, body: { ...shown, email: 'ops@example.net', secrets } });
  const whole = await call('PUT', path, { body: { ...shown, secrets, source: 'built-in' } });
  t.match(
    whole,
    { status: 200, body: { ...shown, source: 'api', secrets } },
    'what is shown only is passed over',
  );
});

t.test(
  'the root of the internal CA is there as soon as it is used, beside an issuer of the environment too',
  async (t) => {
    const { call, store, sealers } = await startControlPlane(t, testFolder(t), { acme });
    t.match(await call('GET', '/v1/ca/root.crt'), { status: 404, body: { detail: /not been used yet/ } });
    const { certificate } = await findOrMakeAuthority(store, sealers.controlPlanes, Date.now);
    t.equal((await call('GET', '/v1/ca/root.crt')).text, certificate);
  },
);

t.test('a parameter that is wrong is named as it is', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const errors = async (path: string) => (await call('GET', path)).body.errors;
  t.match(await errors('/v1/issuers?limit=0'), [{ pointer: /^limit$/ }]);
  t.match(await errors('/v1/issuers?surprise=1'), [{ pointer: /^surprise$/, detail: /no such parameter/ }]);
  t.match(await errors('/v1/issuers/Upper_Case'), [{ pointer: /^name$/ }]);
});

t.test('an issuer that could never issue is refused with the field', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const cases: [string, unknown, string, RegExp][] = [
    ['zero', { type: 'zerossl' }, '/apiKey', /API key.*email/],
    ['gts', { directory, eab: { kid: 'k1' } }, '/eab/hmacKey', /is needed/],
    ['gts', { directory: 'http://acme.example.net' }, '/directory', /https/],
    ['gts', { directory: 'https://u:p@acme.example.net/' }, '/directory', /user or password/],
    [
      'ca',
      { directory, roots: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' },
      '/roots',
      /certificate 1 cannot be read/,
    ],
    ['ca', { directory, roots: '-----BEGIN CERTIFICATE-----' }, '/roots', /no whole PEM/],
    ['ca', { type: 'acme' }, '/directory', /directory/],
    ['ca', {}, '/type', /one of acme, zerossl/],
    ['internal', { directory }, '/type', /internal CA/],
    ['brought', { directory }, 'name', /choose another name/],
    ['Big', { directory }, 'name', /small letters/],
    ['ca', { directory, dnsProvider: { type: 'cloudflare' } }, '/dnsProvider/token', /is needed/],
    ['ca', { directory, surprise: 1 }, '/surprise', /no such field/],
  ];
  for (const [name, body, pointer, detail] of cases) {
    t.match(
      await call('PUT', `/v1/issuers/${name}`, { body }),
      { status: 400, body: { code: 'invalid_request', errors: [{ pointer, detail }] } },
      `${name} ${JSON.stringify(body)}`,
    );
  }
  t.equal(await store.count('issuer'), 0);
});

t.test('an issuer that something names is not deleted, and the answer says what', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  await call('PUT', '/v1/issuers/le', { body: { directory } });
  await call('PUT', '/v1/routes/shop', { body: { ...shop, issuers: ['internal', 'le'] } });
  const remove = () => call('DELETE', '/v1/issuers/le');
  t.match(await remove(), {
    status: 409,
    body: { code: 'in_use', issuer: 'le', route: 'shop', detail: /route "shop"/ },
  });
  await call('PATCH', '/v1/routes/shop', { body: { issuers: null } });
  await call('PATCH', '/v1/settings', { body: { issuers: ['le'] } });
  t.match(await remove(), { status: 409, body: { code: 'in_use', detail: /settings/ } });
  await call('PATCH', '/v1/settings', { body: { issuers: null } });
  t.equal((await remove()).status, 204);
  t.equal((await remove()).status, 404);
});

t.test('what is there by itself is reset, never deleted', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t), { acme });
  const short = await call('PUT', '/v1/issuers/internal', { body: { type: 'internal', lifetimeHours: 24 } });
  t.match(short, { status: 200, body: { source: 'api', lifetimeHours: 24 } });
  for (const _again of [1, 2]) t.equal((await call('DELETE', '/v1/issuers/internal')).status, 204);
  t.match((await call('GET', '/v1/issuers/internal')).body, { source: 'built-in', lifetimeHours: 2160 });

  t.match(await call('DELETE', '/v1/issuers/acme'), {
    status: 409,
    body: { code: 'in_use', detail: /LOCKSTEP_ACME_DIRECTORY/ },
  });
  await call('PUT', '/v1/issuers/acme', { body: { directory: 'https://other.example.net/dir' } });
  t.match((await call('GET', '/v1/issuers/acme')).body, { source: 'api', directory: /other/ });
  t.equal((await call('DELETE', '/v1/issuers/acme')).status, 204);
  t.match((await call('GET', '/v1/issuers/acme')).body, { source: 'environment', directory });
});

t.test('shows what is left of an issuer’s limits, in pages, and until when its CA wants peace', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const newOrders = { count: 300, refillSeconds: 36 };
  const certificatesPerDomain = { count: 50, refillSeconds: 12_096 };
  const limits = { newOrders, certificatesPerDomain };
  await call('PUT', '/v1/issuers/le', { body: { directory, limits } });
  const ledger = createLedger({ store });
  for (const host of ['a.example.com', 'b.example.com']) {
    await ledger.spend('le', async () => {
      const entry = await ledger.spendOrder('le', limits, host, false);
      return isRefusal(entry) ? entry : { by: { kind: 'coordinator' }, ...entry };
    });
  }
  const get = async (query: string) => (await call('GET', `/v1/issuers/le/limits${query}`)).body;
  const first = await get('?limit=1');
  t.match(first, {
    issuer: 'le',
    retryAt: null,
    items: [{ limit: 'certificatesPerDomain', key: 'example.com', ...certificatesPerDomain, left: 48 }],
    next: String,
  });
  t.match(await get(`?limit=1&cursor=${encodeURIComponent(first.next)}`), {
    items: [{ limit: 'newOrders', key: null, ...newOrders, left: 298, nextAt: String }],
    next: null,
  });
  const until = Date.now() + 60_000;
  await ledger.spend('le', async () => ({
    by: { kind: 'coordinator' },
    ...(await ledger.pause('le', until)),
  }));
  const paused = await get('');
  t.equal(paused.retryAt, new Date(until).toISOString());
  t.equal(paused.items.length, 2, 'a pause is none of the limits');
  t.equal((await call('GET', '/v1/issuers/nowhere/limits')).status, 404);
});
