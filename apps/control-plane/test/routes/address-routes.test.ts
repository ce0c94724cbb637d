import { X509Certificate } from 'node:crypto';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const upstreams = [{ url: 'http://127.0.0.1:3000' }];
const headers = { prefer: 'wait=60' };
const letsEncrypt = 'https://acme-v02.api.letsencrypt.org/directory';

t.test(
  'a route for IP addresses of the fleet has certificates for them, and needs nothing of the DNS',
  async (t) => {
    const { call, acknowledge } = await startControlPlane(t, testFolder(t));
    acknowledge('edge-1');
    await call('PATCH', '/v1/settings', {
      body: { edgeAddresses: ['192.0.2.0/24', '2001:db8::9'], ownership: 'txt' },
    });
    const hosts = ['192.0.2.7', '2001:DB8:0::9'];
    const { status, body } = await call('PUT', '/v1/routes/ip', { body: { hosts, upstreams }, headers });
    t.equal(status, 201);
    t.match(body, { hosts: ['192.0.2.7', '[2001:db8::9]'], status: { state: 'live', dnsRequirements: [] } });
    for (const [id, address] of [
      ['192.0.2.7', '192.0.2.7'],
      ['[2001:db8::9]', '2001:db8::9'],
    ] as const) {
      const found = await call('GET', `/v1/certificates/${encodeURIComponent(id)}`);
      t.equal(new X509Certificate(found.body.chain).checkIP(address), address);
      t.match((await call('GET', `/v1/routes?host=${encodeURIComponent(address)}`)).body.items, [
        { id: 'ip' },
      ]);
    }
    for (const query of ['', '?host=192.0.2.7', '?host=2001:db8::9'])
      t.equal((await call('GET', `/v1/routes/ip/instructions${query}`)).status, 200, query);
    t.match(await call('POST', '/v1/routes/ip/check'), { status: 200, body: { ok: true } });
    t.match(await call('PUT', '/v1/routes/other', { body: { hosts, upstreams } }), { status: 409 });

    const elsewhere = await call('PUT', '/v1/routes/far', {
      body: { hosts: ['203.0.113.9'], upstreams },
      headers,
    });
    t.match(elsewhere.body.status, {
      state: 'waiting_for_dns',
      reason: /203\.0\.113\.9 is none of the fleet’s addresses, which are 192\.0\.2\.0\/24/,
      dnsRequirements: [],
    });
    await call('PATCH', '/v1/settings', {
      body: { edgeAddresses: ['edge.example.com'], resolvers: ['127.0.0.1:1'] },
    });
    t.match((await call('POST', '/v1/routes/far/check')).body.hosts, [
      { ok: false, detail: /203\.0\.113\.9 could not be checked: looking up A of edge\.example\.com/ },
    ]);
  },
);

t.test(
  'where no issuer of the chain certifies addresses, a route for one is refused, with the way out',
  async (t) => {
    const { call } = await startControlPlane(t, testFolder(t));
    await call('PUT', '/v1/issuers/le', { body: { directory: letsEncrypt } });
    await call('PUT', '/v1/issuers/short', { body: { directory: letsEncrypt, profile: 'shortlived' } });
    await call('PUT', '/v1/issuers/zero', { body: { type: 'zerossl', email: 'ops@example.com' } });
    const route = { hosts: ['shop.example.com', '192.0.2.7'], upstreams };
    const validate = async (more: object) =>
      call('POST', '/v1/routes/validate', { body: { ...route, ...more } });
    t.match(await validate({ issuers: ['le', 'zero'] }), {
      status: 400,
      body: { errors: [{ pointer: '/hosts/1', detail: /profile "shortlived" alone; set profile.*ZeroSSL/ }] },
    });
    for (const issuers of [['short'], ['le', 'internal'], ['zero', 'short']])
      t.match(await validate({ issuers }), { status: 200 }, issuers.join());
  },
);

t.test('a tenant takes no address, by a route or a certificate: all tenants share them', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const { token } = (
    await call('POST', '/v1/tokens', {
      body: { name: 'a', tenant: 'a', scopes: ['routes:write', 'certificates:write'] },
    })
  ).body;
  const answer = await call('PUT', '/v1/routes/ip', {
    body: { hosts: ['192.0.2.7'], upstreams },
    headers: { authorization: `Bearer ${token}` },
  });
  t.match(answer, {
    status: 403,
    body: { errors: [{ pointer: '/hosts/0', detail: /takes a token without a tenant/ }] },
  });
  t.match(
    await call('POST', '/v1/certificates', {
      body: await makeCertificate('192.0.2.7'),
      headers: { authorization: `Bearer ${token}` },
    }),
    { status: 403, body: { errors: [{ pointer: '/chain', detail: /IP addresses alone/ }] } },
  );
  t.match(await call('POST', '/v1/certificates', { body: await makeCertificate('192.0.2.7') }), {
    status: 201,
    body: { names: ['192.0.2.7'] },
  });
});
