import { randomUUID } from 'node:crypto';
import type { OrderRecord } from '@lockstep/contract';
import { startDnsServer, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { putOrder } from '../../src/orders/order-record.ts';
import { seenAddresses } from '../seen-dns.ts';
import { startControlPlane } from '../start-control-plane.ts';

const upstreams = [{ url: 'http://127.0.0.1:3000' }];
const host = 'shop.example.com';
const shop = { hosts: [host], upstreams };
const directory = 'https://acme.example.net/dir';
const requirement = { type: 'A', value: '203.0.113.7', purpose: 'traffic' };
const waitingForDns = {
  since: '2026-01-01T00:00:00.000Z',
  checks: 2,
  detail: 'shop.example.com leads to 192.0.2.1, not to 203.0.113.7',
};
const seenDns = seenAddresses('192.0.2.1');
const later = new Date(Date.now() + 3_600_000).toISOString();
const failed = { detail: 'the CA refused', issuer: 'le', step: 'idle', type: null, at: later };

type ControlPlane = Awaited<ReturnType<typeof startControlPlane>>;

async function setOrder({ store }: ControlPlane, id: string, changes: Partial<OrderRecord>): Promise<void> {
  const order = await store.get('order', id);
  if (order === null) throw new Error(`there is no order ${id}`);
  await store.commit({ id: randomUUID(), changes: [putOrder(id, { ...order.value, ...changes })] });
}

t.test('a route has issuers and a challenge of its own until a PATCH with null takes them off', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  await call('PUT', '/v1/issuers/le', { body: { directory } });
  const made = await call('PUT', '/v1/routes/shop', {
    body: { ...shop, issuers: ['le', 'internal'], challenge: 'tls-alpn-01' },
  });
  t.match(made, { status: 201, body: { issuers: ['le', 'internal'], challenge: 'tls-alpn-01' } });
  t.match((await store.get('route', 'shop'))?.value, { issuers: ['le', 'internal'] });
  const kept = await call('PATCH', '/v1/routes/shop', { body: { paths: ['/x'] } });
  t.match(kept.body, { issuers: ['le', 'internal'], challenge: 'tls-alpn-01', paths: ['/x'] });
  const off = (await call('PATCH', '/v1/routes/shop', { body: { issuers: null, challenge: null } })).body;
  t.notOk('issuers' in off || 'challenge' in off);
});

t.test('an issuer that is not there, and a challenge that cannot be, are refused at the field', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  await call('PUT', '/v1/issuers/le', { body: { directory } });
  const wildcard = { hosts: [host, '*.example.com'], upstreams };
  const cases: [unknown, string, RegExp][] = [
    [{ ...shop, issuers: ['le', 'nowhere'] }, '/issuers/1', /no issuer "nowhere".*internal, le/],
    [{ ...shop, issuers: [] }, '/issuers', /leave issuers out/],
    [
      { ...wildcard, issuers: ['le'], challenge: 'http-01' },
      '/challenge',
      /"\*\.example\.com".*dns-01 or dns-persist-01 only/,
    ],
    [{ ...shop, challenge: 'dns-02' }, '/challenge', /dns-01/],
  ];
  for (const [body, pointer, detail] of cases) {
    t.match(await call('POST', '/v1/routes', { body }), {
      status: 400,
      body: { code: 'invalid_request', errors: [{ pointer, detail }] },
    });
  }
  t.equal(await store.count('route'), 0);
  const may: object[] = [
    { ...wildcard, id: 'a', issuers: ['le'], challenge: 'dns-01' },
    { ...wildcard, id: 'a', issuers: ['le', 'internal'], challenge: 'http-01' },
    { ...wildcard, id: 'a', challenge: 'http-01' },
  ];
  for (const body of may)
    t.ok((await call('PUT', '/v1/routes/a', { body })).status < 300, JSON.stringify(body));
  await call('PATCH', '/v1/settings', { body: { issuers: ['le'] } });
  await waitFor(
    async () =>
      (await call('PUT', '/v1/routes/a', { body: { ...wildcard, challenge: 'http-01' } })).status === 400,
    { what: 'the chain of the settings, which is an ACME CA alone now' },
  );
  t.equal((await call('PATCH', '/v1/routes/a', { body: { challenge: 'http-01' } })).status, 400);
});

t.test(
  'behind a CDN the look wants an address alone, and tls-alpn-01 is refused with the way out',
  async (t) => {
    const dns = await startDnsServer({
      zones: [{ name: 'example.com', records: ['shop A 203.0.113.7', 'later TXT here'] }],
    });
    t.teardown(() => dns.close());
    const { call } = await startControlPlane(t, testFolder(t));
    const settings = { edgeAddresses: ['192.0.2.0/24'], resolvers: [dns.address] };
    t.equal((await call('PUT', '/v1/settings', { body: settings })).status, 200);
    await call('PUT', '/v1/routes/shop', { body: { hosts: [host, 'later.example.com'], upstreams } });
    const check = async () => (await call('POST', '/v1/routes/shop/check')).body.hosts;
    await waitFor(async () => !(await check())[0].ok, { what: 'the settings to be in force' });
    await call('PATCH', '/v1/routes/shop', { body: { dns: { proxiedBy: 'cdn' } } });
    t.match(await check(), [
      { ok: true, detail: /leads to 203\.0\.113\.7, which is taken for its CDN/ },
      { ok: false, detail: /has no address in the DNS yet/, dnsRequirements: [] },
    ]);
    await call('PUT', '/v1/issuers/le', { body: { directory } });
    const body = { issuers: ['le'], challenge: 'tls-alpn-01' };
    t.match(await call('PATCH', '/v1/routes/shop', { body }), {
      status: 400,
      body: { errors: [{ pointer: '/challenge', detail: /a CDN ends TLS itself.*take another/ }] },
    });
    const other = { hosts: [host], upstreams, dns: { proxiedBy: 'me' } };
    t.match(await call('PUT', '/v1/routes/shop', { body: other }), {
      status: 400,
      body: { errors: [{ pointer: '/dns/proxiedBy', detail: /has to be cdn/ }] },
    });
  },
);

t.test('a route whose host waits for the DNS says so, and what to create; a wait ends on it', async (t) => {
  const controlPlane = await startControlPlane(t, testFolder(t));
  const { call } = controlPlane;
  await call('PATCH', '/v1/settings', { body: { edgeAddresses: ['203.0.113.7'] } });
  const { revision } = (await call('PUT', '/v1/routes/shop', { body: shop })).body;
  const waiting = call('PATCH', '/v1/routes/shop', {
    body: { paths: ['/a'] },
    headers: { prefer: 'wait=60' },
  });
  await waitFor(async () => (await call('GET', '/v1/routes/shop')).body.revision > revision, {
    what: 'the PATCH',
  });
  await setOrder(controlPlane, host, { waitingForDns, seenDns, dueAt: later });
  const { status, body } = await waiting;
  t.equal(status, 202);
  t.match(body.status, {
    state: 'waiting_for_dns',
    reason: waitingForDns.detail,
    dnsRequirements: [
      { ...requirement, host, name: host, found: ['192.0.2.1'], ok: false, hint: /elsewhere/ },
    ],
    certificates: [{ state: 'waiting_for_dns', nextAttemptAt: later }],
  });
  t.match((await call('GET', `/v1/certificates/${host}`)).body, { state: 'waiting_for_dns' });
  await call('PATCH', '/v1/routes/shop', { body: {} });
  const order = await controlPlane.store.get('order', host);
  t.match(order?.value, { waitingForDns: null }, 'a changed route is looked at anew');
  t.ok(Date.parse(order?.value.dueAt ?? '') <= Date.now());
});

t.test('a check looks now, and has the hosts that are well tried at once', async (t) => {
  const [bad, fine] = ['bad.example.com', 'fine.example.com'];
  const here = ['shop A 203.0.113.7', 'fine A 203.0.113.7'];
  const dns = await startDnsServer({
    zones: [{ name: 'example.com', records: [...here, 'bad A 192.0.2.1'] }],
  });
  t.teardown(() => dns.close());
  const controlPlane = await startControlPlane(t, testFolder(t));
  const { call, askedFor, store } = controlPlane;
  await call('PUT', '/v1/routes/shop', { body: { hosts: [host, bad, fine], upstreams } });
  const settings = { edgeAddresses: ['203.0.113.7'], resolvers: [dns.address] };
  t.equal((await call('PUT', '/v1/settings', { body: settings })).status, 200);
  const check = () => call('POST', '/v1/routes/shop/check');
  await waitFor(async () => !(await check()).body.ok, { what: 'the settings to be in force' });
  await setOrder(controlPlane, host, { waitingForDns, dueAt: later });
  await setOrder(controlPlane, bad, { waitingForDns, dueAt: later });
  await setOrder(controlPlane, fine, { lastError: failed, failures: 4, dueAt: later });
  const right = (host: string) => ({ ...requirement, host, found: ['203.0.113.7'], ok: true, hint: null });
  const { status, body } = await check();
  t.equal(status, 200);
  t.match(body, {
    route: 'shop',
    ok: false,
    hosts: [
      { host, ok: true, detail: `${host} leads to 203.0.113.7`, dnsRequirements: [right(host)] },
      {
        host: bad,
        ok: false,
        detail: /^bad\.example\.com leads to 192\.0\.2\.1, which is elsewhere/,
        dnsRequirements: [{ ...requirement, host: bad, name: bad, found: ['192.0.2.1'], ok: false }],
      },
      { host: fine, ok: true, detail: `${fine} leads to 203.0.113.7`, dnsRequirements: [right(fine)] },
    ],
  });
  const orders = await store.getMany('order', [bad, fine, host]);
  const due = orders.filter((order) => Date.parse(order?.value.dueAt ?? '') <= Date.now());
  t.strictSame(
    due.map((order) => order?.id),
    [fine, host],
  );
  t.match((await store.get('order', fine))?.value, { failures: 0, lastError: null });
  const kept = (await call('GET', '/v1/routes/shop')).body.status.dnsRequirements;
  t.strictSame(
    kept,
    body.hosts.flatMap(({ dnsRequirements }: { dnsRequirements: unknown[] }) => dnsRequirements),
    'what was seen is kept, and shown for all hosts',
  );
  const before = await askedFor();
  await check();
  t.same(await askedFor(), before, 'once more changes nothing');
  t.equal((await call('POST', '/v1/routes/nowhere/check')).status, 404);
});
