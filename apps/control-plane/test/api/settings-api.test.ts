import { PutSettings } from '@lockstep/contract/schemas';
import { freePort, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { startControlPlane } from '../start-control-plane.ts';

const path = '/v1/settings';
const defaults = { ...PutSettings.parse({}), issuers: ['internal'], dnsProvider: null, revision: null };
const webhook = { type: 'webhook', url: 'https://dns.example.net/hook', secret: 'a-secret-of-the-hook' };

t.test('shows what holds before anything was put, and the chain of the environment', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  t.strictSame((await call('GET', path)).body, defaults);
  const acme = { directory: `https://127.0.0.1:${await freePort()}/dir`, email: null, caFile: null };
  const other = await startControlPlane(t, testFolder(t, { acme: {} }), { acme });
  t.strictSame((await other.call('GET', path)).body.issuers, ['acme']);
});

t.test('a time is seconds or a number with its unit', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  t.match(await call('PATCH', path, { body: { forgetNodesAfter: '2h' } }), {
    status: 200,
    body: { forgetNodesAfter: 7_200 },
  });
  t.match(await call('PATCH', path, { body: { forgetNodesAfter: 90 } }), { body: { forgetNodesAfter: 90 } });
  for (const forgetNodesAfter of ['2 hours', '2', 1, -1, 1.5]) {
    t.match(await call('PATCH', path, { body: { forgetNodesAfter } }), {
      status: 400,
      body: { errors: [{ pointer: '/forgetNodesAfter' }] },
    });
  }
});

t.test('PUT replaces all of them: what is left out goes back to its default', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const put = await call('PUT', path, {
    body: {
      issuers: ['internal'],
      edgeAddresses: ['203.0.113.7', '2001:DB8:0::/48', 'Edge.Example.NET.', '203.0.113.7', '203.0.113.7/32'],
      resolvers: ['192.0.2.53'],
      onDemand: { ask: 'http://127.0.0.1:3000/ask', upstreams: [{ url: 'http://127.0.0.1:3000/' }] },
    },
  });
  t.equal(put.status, 200);
  t.match(put.body, {
    edgeAddresses: ['203.0.113.7', '2001:db8::/48', 'edge.example.net'],
    resolvers: ['192.0.2.53'],
    onDemand: {
      ask: 'http://127.0.0.1:3000/ask',
      holdMs: 10_000,
      upstreams: [{ url: 'http://127.0.0.1:3000' }],
    },
    revision: Number,
  });
  t.strictSame((await call('GET', path)).body, put.body);
  const again = await call('PUT', path, { body: {} });
  t.strictSame(again.body, { ...defaults, revision: again.body.revision });
});

t.test('PATCH changes some and leaves the others (RFC 7396)', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  await call('PUT', path, {
    body: { edgeAddresses: ['203.0.113.7'], onDemand: { ask: 'http://127.0.0.1:3000/ask', holdMs: 500 } },
  });
  const headers = { 'content-type': 'application/merge-patch+json' };
  const patched = await call('PATCH', path, { body: { onDemand: { totalPerMinute: 7 } }, headers });
  t.match(patched, {
    status: 200,
    body: { edgeAddresses: ['203.0.113.7'], onDemand: { holdMs: 500, totalPerMinute: 7 } },
  });
  const off = await call('PATCH', path, { body: { onDemand: null } });
  t.match(off.body, { edgeAddresses: ['203.0.113.7'], onDemand: null });
  const wrong = await call('PATCH', path, { body: { onDemand: { holdMs: 1 }, edgeAdresses: [] } });
  t.match(wrong, { status: 400, body: { code: 'invalid_request' } });
  t.strictSame(
    wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer),
    ['/onDemand/ask', '/edgeAdresses'],
  );
  t.equal((await call('GET', path)).body.revision, off.body.revision, 'and changes nothing');
});

t.test('a provider’s secret is sealed and never shown', async (t) => {
  const { call, store, sealers } = await startControlPlane(t, testFolder(t));
  const put = await call('PUT', path, { body: { dnsProvider: webhook } });
  t.strictSame(put.body.dnsProvider, { type: 'webhook', url: webhook.url });
  t.notMatch(put.text + (await call('GET', path)).text, /a-secret-of-the-hook/);
  const record = await store.get('settings', 'settings');
  t.notMatch(JSON.stringify(record), /a-secret-of-the-hook/);
  t.strictSame(
    JSON.parse(sealers.controlPlanes.open(record?.value.sealedSecrets ?? '', 'settings/settings')),
    {
      dnsProvider: webhook.secret,
    },
  );
});

t.test('a secret left out is kept for the same account, and for no other', async (t) => {
  const { call, store, sealers } = await startControlPlane(t, testFolder(t));
  const secret = async () => {
    const sealed = (await store.get('settings', 'settings'))?.value.sealedSecrets ?? null;
    return sealed === null
      ? null
      : JSON.parse(sealers.controlPlanes.open(sealed, 'settings/settings')).dnsProvider;
  };
  const { secret: _, ...bare } = webhook;
  await call('PUT', path, { body: { dnsProvider: webhook } });
  await call('PUT', path, { body: { dnsProvider: bare } });
  t.equal(await secret(), webhook.secret, 'the same address');
  await call('PATCH', path, { body: { edgeAddresses: ['203.0.113.7'] } });
  t.equal(await secret(), webhook.secret, 'another setting patched');
  await call('PATCH', path, { body: { dnsProvider: { url: 'https://elsewhere.example.net/hook' } } });
  t.equal(await secret(), null, 'another address gets no secret that was meant for the one before');
});

t.test('a provider of another type takes nothing over from the one before, by PATCH either', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  await call('PUT', path, { body: { dnsProvider: webhook } });
  const cloudflare = { type: 'cloudflare', token: 'a-token' };
  const patched = await call('PATCH', path, { body: { dnsProvider: cloudflare } });
  t.equal(patched.body.dnsProvider.url, 'https://api.cloudflare.com/client/v4', 'not where the webhook is');
  const zoned = await call('PATCH', path, { body: { dnsProvider: { zoneId: 'z' } } });
  t.match(zoned.body.dnsProvider, { type: 'cloudflare', zoneId: 'z' }, 'one of the same type is merged');
});

t.test('what GET shows can be put again', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const body = { edgeAddresses: ['203.0.113.7'], dnsProvider: webhook };
  const before = (await call('PUT', path, { body })).body;
  const refused = await call('PATCH', path, { body: { revision: 7 } });
  t.match(refused, { status: 400, body: { errors: [{ pointer: '/revision', detail: /leave it out/ }] } });
  const { revision: _, ...shown } = before;
  const again = await call('PUT', path, { body: { ...shown, onDemand: null, dnsProvider: null } });
  t.match(again, { status: 200, body: { ...shown, dnsProvider: null } });
});

t.test('bad settings are refused with the field and the way out', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const tsig = { type: 'rfc2136', server: '192.0.2.53', keyName: 'lockstep' };
  const acmeDns = { type: 'acme-dns', url: 'https://acme-dns.example.net', username: 'u', subdomain: 's' };
  const cases: [unknown, string, RegExp][] = [
    [{ issuers: ['internal', 'nowhere'] }, '/issuers/1', /no issuer "nowhere".*internal.*PUT \/v1\/issuers/],
    [{ edgeAddresses: ['203.0.113.7', '300.1.1.1'] }, '/edgeAddresses/1', /neither an IP address, nor/],
    [{ edgeAddresses: ['a:b'] }, '/edgeAddresses/0', /neither an IP address, nor a range/],
    [{ edgeAddresses: ['203.0.113.0/33'] }, '/edgeAddresses/0', /neither an IP address, nor a range/],
    [
      { edgeAddresses: ['203.0.113.7/24'] },
      '/edgeAddresses/0',
      /the range is 203\.0\.113\.0\/24, the address/,
    ],
    [{ edge: { deny: ['10.0.0.5/8'] } }, '/edge/deny/0', /the range is 10\.0\.0\.0\/8, the address/],
    [{ edge: { trustedProxies: ['2001:db8::1/32'] } }, '/edge/trustedProxies/0', /range is 2001:db8::\/32, /],
    [
      { edge: { proxyProtocolFrom: ['10.0.0.5/8'] } },
      '/edge/proxyProtocolFrom/0',
      /range is 10\.0\.0\.0\/8, /,
    ],
    [{ edgeAddresses: ['edge.example.net/24'] }, '/edgeAddresses/0', /neither an IP address, nor a range/],
    [
      { edge: { trustedProxies: ['cdn.example.net'] } },
      '/edge/trustedProxies/0',
      /neither an IP address nor a range/,
    ],
    [
      { edge: { proxyProtocolFrom: ['10.0.0.0/33'] } },
      '/edge/proxyProtocolFrom/0',
      /neither an IP address nor a range/,
    ],
    [{ edge: { tls: { minVersion: '1.1' } } }, '/edge/tls/minVersion', /neither 1.2 nor 1.3/],
    [
      { edge: { tls: { profile: 'modern', minVersion: '1.2' } } },
      '/edge/tls/minVersion',
      /TLS 1.3 alone; leave minVersion out/,
    ],
    [
      { edge: { tls: { noSniCertificate: 'nobody.example.com' } } },
      '/edge/tls/noSniCertificate',
      /no certificate "nobody.example.com"; GET \/v1\/certificates/,
    ],
    [{ resolvers: ['192.0.2.53:99999'] }, '/resolvers/0', /65535/],
    [
      { dnsProvider: { ...webhook, url: 'https://u:p@example.net/' } },
      '/dnsProvider/url',
      /user or password/,
    ],
    [{ dnsProvider: tsig }, '/dnsProvider/secret', /TSIG key/],
    [{ dnsProvider: acmeDns }, '/dnsProvider/password', /is needed/],
    [{ dnsProvider: { type: 'cloudflare' } }, '/dnsProvider/token', /is needed/],
    [{ dnsProvider: { type: 'other' } }, '/dnsProvider/type', /one of webhook/],
    [{ onDemand: { ask: 'http://user:pass@example.net/' } }, '/onDemand/ask', /user or password/],
    [{ onDemand: { ask: 'http://example.net/?domain=x' } }, '/onDemand/ask', /domain/],
    [{ onDemand: { ask: 'file:///etc/passwd' } }, '/onDemand/ask', /http/],
    [{ issuers: ['brought'] }, '/issuers/0', /no issuer "brought"; there are: internal$/],
    [{ surprise: 1 }, '/surprise', /no such field/],
    [[], '', /object/],
  ];
  for (const [body, pointer, detail] of cases) {
    const answer = await call('PUT', path, { body });
    t.match(
      answer,
      { status: 400, body: { code: 'invalid_request', errors: [{ pointer, detail }] } },
      JSON.stringify(body),
    );
  }
  t.equal(await store.get('settings', 'settings'), null);
});
