import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  type CertificateRecord,
  healthKeyOf,
  type PutRoute,
  type Route,
  type RouteHealth,
  type RouteRecord,
} from '@lockstep/contract';
import { routeDefaults } from '@lockstep/contract/schemas';
import { createAuthority, type Sealers } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startControlPlane } from '../start-control-plane.ts';

const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const wait = { prefer: 'wait=20' };
const authority = (await createAuthority()).certificate;
const hash = '$2y$05$abcdefghijklmnopqrstuuT7L5UXcXSYlwGSx1QWhvSwbWPvwvSY6';
/** Hashes of passwords are never shown. */
const shownOf = (route: object) =>
  JSON.parse(JSON.stringify(route, (name, value) => (name === 'passwordHash' ? undefined : value)));

t.test('answers 201 and live once every live node has acknowledged', async (t) => {
  const { call, acknowledge } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  acknowledge('edge-2');
  const answer = await call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers: wait });
  t.equal(answer.status, 201);
  t.equal(answer.headers.get('location'), '/v1/routes/shop');
  t.equal(answer.headers.get('preference-applied'), 'wait=20');
  t.match(answer.body, {
    id: 'shop',
    hosts: ['shop.example.com'],
    revision: Number,
    status: {
      state: 'live',
      certificates: [
        {
          id: 'shop.example.com',
          host: 'shop.example.com',
          state: 'live',
          notAfter: String,
          lastError: null,
          nextAttemptAt: null,
        },
      ],
      nodes: { live: 2, of: 2, behind: [] },
    },
  });
  t.same((await call('GET', '/v1/routes/shop')).body, answer.body);
});

t.test('every commit says who made it, and leads back to the request that began it', async (t) => {
  const { call, store, acknowledge } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  const from = await store.head();
  const headers = { ...wait, 'x-request-id': 'deploy-7' };
  t.equal((await call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers })).status, 201);
  const entries = (await store.readLog(from, 100)) ?? [];
  const [made, ...later] = entries.slice(entries.findIndex(({ requestId }) => requestId === 'deploy-7'));
  const number = made?.position.number;
  t.match(made, { by: { kind: 'token', name: 'admin' }, requestId: 'deploy-7', cause: null });
  t.match(
    made?.changes.map(({ kind, id }) => `${kind}/${id}`),
    ['route/shop', 'order/shop.example.com'],
  );
  const issued = later.filter(({ changes }) => changes.some(({ kind }) => kind === 'certificate'));
  t.equal(issued.length, 1);
  const led = new Set([number]);
  for (const { position, by, requestId, cause } of later) {
    if (by?.kind !== 'coordinator') continue;
    t.equal(requestId, null);
    t.ok(led.has(cause ?? 0), `${position.number} because of ${cause}`);
    led.add(position.number);
  }
  t.ok(led.has(issued[0]!.position.number), 'the certificate too');
  const { items } = await store.readJournal({ limit: 100 });
  t.match(
    items.filter(({ kind }) => kind === 'route' || kind === 'certificate'),
    [
      { kind: 'certificate', by: { kind: 'coordinator' }, position: issued[0]!.position, before: null },
      { kind: 'route', id: 'shop', by: made!.by, requestId: 'deploy-7', position: made!.position },
    ],
    'and the journal keeps it',
  );
});

t.test('each field of a route is kept, shown, and set by a patch of it alone', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const all: Required<Omit<PutRoute, 'id' | 'redirect' | 'response'>> = {
    ...shop,
    paths: ['/shop'],
    upstreams: [
      { url: 'http://127.0.0.1:3000', host: 'upstream', proxyProtocol: 2 },
      {
        url: 'https://127.0.0.1:3000',
        protocol: 'h2',
        tls: { serverName: 'app.example.com', verify: false },
      },
      { url: 'unix:/run/app.sock' },
    ],
    timeouts: { connectMs: 1_000, firstByteMs: 120_000, idleMs: 60_000, totalMs: 600_000 },
    limits: { bodyBytes: 1_000_000, connections: 10, pending: 5, pendingMs: 2_000 },
    alsoServe: 'www',
    methods: ['GET', 'POST'],
    rewrite: { stripPrefix: '/shop', addPrefix: '/v2' },
    maintenance: { until: '2026-12-01T06:00:00Z', retryAfterSeconds: 600 },
    plainHttp: 'refuse',
    hsts: { maxAge: 31_536_000, includeSubDomains: true, preload: true },
    pages: { 404: '<p>not here', 503: '<p>soon' },
    match: { headers: [{ name: 'X-Beta', equals: 'yes' }], query: [{ name: 'preview', present: true }] },
    headers: { request: { set: { 'X-Route': '{route}' } }, response: { remove: ['Server'] } },
    access: { allow: ['192.0.2.0/24'], deny: ['192.0.2.9'] },
    rateLimit: { requests: 10, perMs: 1_000, burst: 20, by: { header: 'X-Api-Key' } },
    basicAuth: { realm: 'Shop', users: [{ name: 'ann', passwordHash: hash }] },
    clientCertificates: { ca: authority, mode: 'request' },
    compression: { types: ['text/*'], minBytes: 100 },
    issuers: ['internal'],
    challenge: 'http-01',
    balance: { policy: 'hash', hash: { by: 'cookie', name: 'user' }, sticky: { cookie: 'node', maxAge: 60 } },
    health: {
      active: {
        path: '/healthz',
        method: 'GET',
        intervalMs: 1_000,
        timeoutMs: 500,
        expectStatus: [200, '2xx', '300-399'],
        expectBody: 'ok',
        healthyAfter: 1,
        unhealthyAfter: 2,
        host: 'health.example.com',
      },
      passive: { failures: 3, withinMs: 1_000, coolDownMs: 2_000 },
      slowStartMs: 3_000,
      noneHealthy: 'refuse',
    },
    retries: { attempts: 2, on: ['connect', '5xx'] },
    dns: { proxiedBy: 'cdn' },
    tenant: 'harbour-cafe',
    metadata: { plan: 'pro', 'crm/id': '4821' },
  };
  t.match((await call('PUT', '/v1/routes/whole', { body: all })).body, shownOf(all));
  const names = Object.keys(routeDefaults.shape);
  const defaults = Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
  t.same(Object.keys(defaults).sort(), names.sort());
  const settings = await call('PATCH', '/v1/settings', { body: { edge: { defaults } } });
  t.match(settings.body.edge?.defaults, defaults, 'and as a default of all routes');
  const shown = (await call('GET', '/v1/settings')).body.edge;
  t.same((await call('PATCH', '/v1/settings', { body: { edge: shown } })).body.edge, shown, 'as it is shown');
  const other = { hosts: ['other.example.com'], upstreams: [{ url: 'http://127.0.0.1:4000' }] };
  await call('PUT', '/v1/routes/patched', { body: other });
  t.not((await call('PATCH', '/v1/routes/patched', { body: { hosts: null } })).status, 200);
  let kept: object = { ...other, paths: ['/'] };
  for (const [field, value] of Object.entries({ ...all, hosts: ['third.example.com'] })) {
    kept = { ...kept, [field]: value };
    const { body } = await call('PATCH', '/v1/routes/patched', { body: { [field]: value } });
    t.match(body, shownOf(kept), field);
  }
  const body = { paths: null, issuers: null, challenge: null, timeouts: null, limits: null };
  const { challenge, issuers, ...reset } = (await call('PATCH', '/v1/routes/patched', { body })).body;
  t.match([reset.paths, challenge, issuers], [['/'], undefined, undefined]);
});

t.test('a patch may have a part of a field, and takes a part away (RFC 7396)', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const whole = {
    hosts: shop.hosts,
    redirect: { to: '/new', status: 308, keepQuery: true },
    rateLimit: { requests: 10, perMs: 1_000, by: 'route' },
    headers: { response: { set: { 'X-A': '1', 'X-B': '2' } } },
  };
  await call('PUT', '/v1/routes/shop', { body: whole });
  const patch = async (body: object) => (await call('PATCH', '/v1/routes/shop', { body })).body;
  t.match(await patch({ redirect: { to: '/newer' } }), { redirect: { ...whole.redirect, to: '/newer' } });
  t.strictSame((await patch({ rateLimit: { requests: 5 } })).rateLimit, { ...whole.rateLimit, requests: 5 });
  const { headers } = await patch({ headers: { response: { set: { 'X-A': null } } } });
  t.strictSame(headers, { response: { set: { 'X-B': '2' } } });
  t.match(await patch({ rateLimit: { requests: null } }), {
    errors: [{ pointer: '/rateLimit/requests', detail: /has to be a/ }],
  });
  t.match(await patch({ rateLimit: null, access: { allow: ['here'] } }), {
    errors: [{ pointer: '/access/allow/0', detail: /neither an IP address nor a range/ }],
  });
  const upstreams = [{ url: 'http://127.0.0.1:3000' }];
  const turned = await patch({ redirect: null, upstreams });
  t.match([turned.redirect, turned.upstreams], [undefined, upstreams]);
  await patch({ timeouts: { connectMs: 1_000, totalMs: 9_000 } });
  t.strictSame((await patch({ timeouts: { connectMs: null } })).timeouts, { totalMs: 9_000 });
});

t.test('a wait that cannot be read is passed over (RFC 7240, section 2)', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  for (const [id, prefer] of [
    ['soon', 'wait=soon'],
    ['below', 'wait=-1'],
  ] as const) {
    const body = { id, ...shop, hosts: [`${id}.example.com`] };
    const made = await call('POST', '/v1/routes', { body, headers: { prefer } });
    t.equal(made.status, 201, prefer);
    t.equal(made.headers.get('preference-applied'), null, prefer);
  }
});

t.test('answers 201 at once without Prefer, and 202 when the preferred wait is over', async (t) => {
  const { call, report } = await startControlPlane(t, testFolder(t));
  await report('edge-1');
  const created = await call('POST', '/v1/routes', { body: shop });
  t.equal(created.status, 201);
  t.match(created.body.id, /^rt_/);
  const { status, body } = await call('PATCH', `/v1/routes/${created.body.id}`, {
    body: {},
    headers: { prefer: 'wait=1' },
  });
  t.equal(status, 202);
  t.equal(body.status.state, 'deploying');
  t.match(body.status.nodes, { live: 0, of: 1, behind: [{ node: 'edge-1', reason: /not applied/ }] });
});

t.test('sends no order while no edge is live, and says so', async (t) => {
  const { call, acknowledge, store } = await startControlPlane(t, testFolder(t));
  const { body } = await call('POST', '/v1/routes', {
    body: { id: 'shop', ...shop },
    headers: { prefer: 'wait=1' },
  });
  t.match(body.status, { state: 'deploying', reason: 'no_live_edges', nodes: { live: 0, of: 0 } });
  t.equal(await store.count('certificate'), 0);
  acknowledge('edge-1');
  const patched = await call('PATCH', '/v1/routes/shop', { body: {}, headers: wait });
  t.equal(patched.status, 200);
  t.equal(patched.body.status.state, 'live');
});

t.test('a refusal by one node keeps the route from live, with the reason', async (t) => {
  const { call, acknowledge, report, store } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  await call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers: wait });
  const certificate = await store.get('certificate', 'shop.example.com');
  const refusal = {
    kind: 'certificate',
    id: 'shop.example.com',
    revision: certificate?.revision ?? 0,
    reason: 'key does not match',
  };
  await report('edge-2', { refusals: [refusal] });
  const { body } = await call('GET', '/v1/routes/shop');
  t.equal(body.status.state, 'deploying');
  t.match(body.status.nodes, { live: 1, of: 2, behind: [{ node: 'edge-2', reason: /key does not match/ }] });
});

t.test('a host and path belong to one route', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  await call('POST', '/v1/routes', { body: { id: 'shop', ...shop } });
  const taken = await call('POST', '/v1/routes', { body: { ...shop, hosts: ['SHOP.example.com.'] } });
  t.equal(taken.status, 409);
  t.match(taken.headers.get('content-type'), 'application/problem+json');
  t.match(taken.body, {
    code: 'host_taken',
    status: 409,
    route: 'shop',
    host: 'shop.example.com',
    path: '/',
  });
  t.match(
    (await call('POST', '/v1/routes', { body: { id: 'shop', ...shop, hosts: ['b.example.com'] } })).body,
    { code: 'id_taken' },
  );
  const beside = await call('POST', '/v1/routes', { body: { id: 'api', ...shop, paths: ['/api'] } });
  t.equal(beside.status, 201);
  const posts = { ...shop, methods: ['PUT', 'POST'] };
  t.equal((await call('PUT', '/v1/routes/posts', { body: posts })).status, 201, 'with methods of its own');
  t.match(
    (await call('PUT', '/v1/routes/more', { body: { ...shop, methods: ['POST', 'PUT'] } })).body,
    {
      code: 'host_taken',
      route: 'posts',
      detail: /path "\/", with the same methods and match, belongs to route/,
    },
    'in whatever order they are named',
  );
  t.equal((await call('DELETE', '/v1/routes/posts')).status, 204);
  const listed = await call('GET', '/v1/routes?host=Shop.example.com');
  t.same(
    listed.body.items.map(({ id }: { id: string }) => id),
    ['api', 'shop'],
  );
  t.equal((await call('GET', '/v1/certificates')).body.items.length, 1, 'one certificate for both');
});

t.test(
  'the other name of a host gets a certificate, belongs to its route, and is given up with it',
  async (t) => {
    const { call, store } = await startControlPlane(t, testFolder(t));
    const made = await call('PUT', '/v1/routes/shop', { body: { ...shop, alsoServe: 'www' } });
    const names = (body: { status: { certificates: { host: string }[] } }) =>
      body.status.certificates.map(({ host }) => host);
    t.same(names(made.body), ['shop.example.com', 'www.shop.example.com']);
    const other = { ...shop, hosts: ['www.shop.example.com'] };
    t.match((await call('PUT', '/v1/routes/other', { body: other })).body, {
      code: 'host_taken',
      route: 'shop',
      host: 'www.shop.example.com',
    });
    const found = await call('GET', '/v1/routes?host=www.shop.example.com');
    t.equal(found.body.items[0].id, 'shop');
    t.same(names((await call('PATCH', '/v1/routes/shop', { body: { alsoServe: null } })).body), [
      'shop.example.com',
    ]);
    t.ok(
      (await store.get('order', 'www.shop.example.com'))?.value.unusedSince,
      'it is given up after a while',
    );
    t.equal((await call('PUT', '/v1/routes/other', { body: other })).status, 201);
    const apex = { ...shop, hosts: ['www.co.uk'], alsoServe: 'apex' };
    t.match((await call('PUT', '/v1/routes/apex', { body: apex })).body.errors, [
      { pointer: '/alsoServe', detail: /host "co\.uk" is a public suffix/ },
    ]);
  },
);

t.test('of 20 concurrent POSTs of one host, one wins and the others name it', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => call('POST', '/v1/routes', { body: shop })),
  );
  const winners = answers.filter(({ status }) => status === 201);
  t.equal(winners.length, 1);
  for (const { status, body } of answers)
    if (status !== 201) t.match(body, { code: 'host_taken', route: winners[0]?.body.id });
});

t.test('PUT replaces, PATCH changes, DELETE removes', async (t) => {
  const { call, acknowledge } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  t.equal((await call('PUT', '/v1/routes/shop', { body: shop, headers: wait })).status, 201);
  const replaced = await call('PUT', '/v1/routes/shop', {
    body: { ...shop, hosts: ['b.example.com'] },
    headers: wait,
  });
  t.equal(replaced.status, 200);
  t.same(replaced.body.hosts, ['b.example.com']);
  const patched = await call('PATCH', '/v1/routes/shop', {
    body: JSON.stringify({ paths: ['/x'] }),
    headers: { ...wait, 'content-type': 'application/merge-patch+json' },
  });
  t.equal(patched.status, 200);
  t.match(patched.body, { hosts: ['b.example.com'], paths: ['/x'] });
  t.same((await call('PATCH', '/v1/routes/shop', { body: { paths: null }, headers: wait })).body.paths, [
    '/',
  ]);
  t.equal((await call('DELETE', '/v1/routes/shop')).status, 204);
  t.match((await call('GET', '/v1/routes/shop')).body, { code: 'not_found', route: 'shop' });
  t.equal((await call('DELETE', '/v1/routes/shop')).status, 404);
  t.equal((await call('PATCH', '/v1/routes/shop', { body: {} })).status, 404);
  t.equal(
    (await call('POST', '/v1/routes', { body: { hosts: ['b.example.com'], upstreams: shop.upstreams } }))
      .status,
    201,
    'the host is free again',
  );
});

t.test('a host named again within the grace time is live without another order', async (t) => {
  const { call, acknowledge, store } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  await call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers: wait });
  const before = await store.get('certificate', 'shop.example.com');
  await call('DELETE', '/v1/routes/shop');
  t.ok((await store.get('order', 'shop.example.com'))?.value.unusedSince);
  const again = await call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers: wait });
  t.equal(again.body.status.state, 'live');
  t.equal((await store.get('order', 'shop.example.com'))?.value.unusedSince, null);
  await waitFor(
    async () => {
      const order = await store.get('order', 'shop.example.com');
      return Date.parse(order?.value.dueAt ?? '') > Date.now();
    },
    { what: 'the order to be due for its renewal' },
  );
  t.equal((await store.get('certificate', 'shop.example.com'))?.revision, before?.revision);
});

t.test('lists in pages', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  for (const n of [1, 2, 3])
    await call('PUT', `/v1/routes/r${n}`, { body: { ...shop, hosts: [`h${n}.example.com`] } });
  const first = await call('GET', '/v1/routes?limit=2');
  t.same(
    first.body.items.map(({ id }: { id: string }) => id),
    ['r1', 'r2'],
  );
  const second = await call('GET', `/v1/routes?limit=2&cursor=${encodeURIComponent(first.body.next)}`);
  t.same(
    second.body.items.map(({ id }: { id: string }) => id),
    ['r3'],
  );
  t.equal(second.body.next, null);
  t.equal((await call('GET', '/v1/routes?limit=0')).status, 400);
  t.equal((await call('GET', '/v1/routes?page=2')).status, 400);
});

t.test('the routes of one host are listed in pages to the last, those of its wildcard too', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const names = Array.from({ length: 60 }, (_, n) => `r${String(n).padStart(2, '0')}`);
  const at = new Date().toISOString();
  await store.commit({
    id: 'many',
    changes: names.map((id) => {
      const paths = Array.from({ length: 20 }, (_, n) => `/${id}/${n}`);
      const value = { ...shop, paths, createdAt: at, updatedAt: at };
      return { op: 'put', kind: 'route', id, value, claims: paths.map((path) => `${shop.hosts[0]} ${path}`) };
    }),
  });
  await call('PUT', '/v1/routes/wild', { body: { ...shop, hosts: ['*.example.com'] } });
  const found: string[] = [];
  for (let cursor = ''; ; ) {
    const { body } = await call('GET', `/v1/routes?host=SHOP.example.com&limit=25&cursor=${cursor}`);
    found.push(...body.items.map(({ id }: { id: string }) => id));
    if (body.next === null) break;
    cursor = body.next;
  }
  t.same(found, [...names, 'wild']);
  const other = await call('GET', '/v1/routes?host=other.example.com');
  t.same(
    other.body.items.map(({ id }: { id: string }) => id),
    ['wild'],
  );
});

t.test('a write that changes nothing makes no commit and leaves the revision as it is', async (t) => {
  const { askedFor, call, acknowledge, store } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  const full = { ...shop, paths: ['/a'], issuers: ['internal'], challenge: 'http-01' };
  const provider = { type: 'webhook', url: 'http://127.0.0.1:9/dns', secret: 'hidden' };
  const issuer = { type: 'acme', directory: 'https://127.0.0.1:9/dir', eab: { kid: 'k', hmacKey: 'aGk' } };
  const settings = { edgeAddresses: ['192.0.2.1'], dnsProvider: provider };
  const live = await call('PUT', '/v1/routes/shop', { body: full, headers: wait });
  t.equal(live.body.status.state, 'live');
  await call('PUT', '/v1/issuers/own', { body: issuer });
  await call('PUT', '/v1/settings', { body: settings });
  await waitFor(
    async () => Date.parse((await store.get('order', shop.hosts[0]!))?.value.dueAt ?? '') > Date.now(),
    {
      what: 'the order to be due for its renewal',
    },
  );

  const before = await askedFor();
  const { dnsProvider, ...others } = settings;
  const { secret, ...bare } = dnsProvider;
  const writes: [string, string, object][] = [
    ['PATCH', '/v1/routes/shop', {}],
    ['PATCH', '/v1/routes/shop', { hosts: ['SHOP.example.com.'], paths: ['/a/'] }],
    ['PUT', '/v1/routes/shop', full],
    ['PUT', '/v1/issuers/own', issuer],
    ['PUT', '/v1/issuers/own', { ...issuer, eab: { kid: 'k' } }],
    ['PUT', '/v1/settings', settings],
    ['PUT', '/v1/settings', { ...others, dnsProvider: bare }],
    ['PATCH', '/v1/settings', {}],
    ['PATCH', '/v1/settings', { edgeAddresses: ['192.0.2.1'] }],
  ];
  for (const [method, path, body] of writes)
    t.equal((await call(method, path, { body })).status, 200, `${method} ${path} ${JSON.stringify(body)}`);
  t.same((await call('GET', '/v1/routes/shop')).body.revision, live.body.revision);
  t.same(await askedFor(), before);

  t.equal(
    (await call('PUT', '/v1/issuers/own', { body: { ...issuer, eab: { kid: 'k', hmacKey: 'aGo' } } })).status,
    200,
  );
  t.equal((await call('PATCH', '/v1/settings', { body: { dnsProvider: { secret: 'other' } } })).status, 200);
  t.equal((await askedFor()).length, before.length + 2, 'another secret is a change');
});

t.test('bad input is refused with the field and the way out, and changes nothing', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const cases: [unknown, number, string, string | null][] = [
    [{ ...shop, hosts: ['192.0.2'] }, 400, 'invalid_request', '/hosts/0'],
    [{ ...shop, hosts: ['ok.example.com', 'co.uk'] }, 400, 'invalid_request', '/hosts/1'],
    [{ ...shop, hosts: ['*.github.io'] }, 400, 'invalid_request', '/hosts/0'],
    [{ ...shop, hosts: ['localhost'] }, 400, 'invalid_request', '/hosts/0'],
    [{ ...shop, upstreams: [{ url: 'ftp://x' }] }, 400, 'invalid_request', '/upstreams/0/url'],
    [{ ...shop, surprise: 1 }, 400, 'invalid_request', '/surprise'],
    [{ hosts: shop.hosts }, 400, 'invalid_request', '/upstreams'],
    ['{"hosts":', 400, 'invalid_request', null],
    ['', 400, 'invalid_request', null],
    [[], 400, 'invalid_request', null],
    [{ ...shop, padding: 'x'.repeat(1_100_000) }, 413, 'payload_too_large', null],
  ];
  for (const [body, status, code, pointer] of cases) {
    const answer = await call('POST', '/v1/routes', { body });
    t.match(answer, { status, body: { code, status } }, JSON.stringify(body).slice(0, 60));
    if (pointer !== null) t.equal(answer.body.errors[0].pointer, pointer);
  }
  const asText = { body: JSON.stringify(shop), headers: { 'content-type': 'text/plain' } };
  t.match(await call('POST', '/v1/routes', asText), {
    status: 415,
    body: { code: 'unsupported_media_type' },
  });
  const asPatch = { body: shop, headers: { 'content-type': 'application/merge-patch+json' } };
  t.equal((await call('POST', '/v1/routes', asPatch)).status, 415);
  t.equal(await store.count('route'), 0);
});

t.test('everything under /v1 needs the token; health and description do not', async (t) => {
  const { call, url } = await startControlPlane(t, testFolder(t));
  for (const authorization of ['', 'Bearer wrong', 'Basic YTpi']) {
    const answer = await call('GET', '/v1/routes', { headers: { authorization } });
    t.match(answer, { status: 401, body: { code: 'unauthorized' } });
    t.match(answer.headers.get('www-authenticate'), /^Bearer/);
    t.equal((await call('GET', '/v1/nothing', { headers: { authorization } })).status, 401);
  }
  for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json'])
    t.equal((await fetch(url + path)).status, 200, path);
  t.match((await call('GET', '/v1/ca/root.crt')).text, /BEGIN CERTIFICATE/);
  t.match(await call('GET', '/v1/nothing'), { status: 404, body: { code: 'not_found' } });
});

t.test('a wait is answered when the control plane stops', async (t) => {
  const { call, close, report } = await startControlPlane(t, testFolder(t));
  await report('edge-1', { applied: null });
  const waiting = call('POST', '/v1/routes', { body: shop, headers: { prefer: 'wait=300' } });
  const listed = async (): Promise<true> =>
    (await call('GET', '/v1/routes')).body.items.length > 0 ? true : listed();
  await listed();
  await close();
  const { status, headers } = await waiting;
  t.equal(status, 202);
  t.equal(headers.get('connection'), 'close', 'and nobody keeps the process up');
});

t.test('shows nodes, and confirms a held snapshot only where there is one', async (t) => {
  const { call, report, store } = await startControlPlane(t, testFolder(t));
  await report('edge-1');
  t.match((await call('GET', '/v1/nodes')).body, {
    items: [{ id: 'edge-1', state: 'live', held: null }],
    next: null,
  });
  t.equal((await call('POST', '/v1/nodes/edge-1/confirm-snapshot')).status, 409);
  t.equal((await call('GET', '/v1/nodes/nobody')).status, 404);
  const { epoch, number } = await store.head();
  await report('edge-1', { held: { revision: { epoch, number }, hosts: 10, removed: 9 } });
  t.equal((await call('POST', '/v1/nodes/edge-1/confirm-snapshot')).status, 202);
  t.match((await store.get('confirmation', 'edge-1'))?.value, { revision: { epoch, number } });
});

t.test('a route that the store cannot read at all says so, and can be put anew and deleted', async (t) => {
  const dir = testFolder(t);
  const path = join(dir, 'store.db');
  const start = (sealers?: Sealers) => {
    const shared = { store: createSqliteStore({ path }), ...(sealers && { sealers }) };
    return startControlPlane(t, dir, {}, shared);
  };
  let { call, close, store, sealers } = await start();
  for (const method of ['PUT', 'DELETE']) {
    await call('PUT', '/v1/routes/shop', { body: shop });
    await close();
    await store.close();
    const file = new DatabaseSync(path);
    file.exec("UPDATE records SET value = '{' WHERE kind = 'route'");
    file.close();
    ({ call, close, store } = await start(sealers));
    t.match(await call('GET', '/v1/routes/shop'), {
      status: 200,
      body: { status: { state: 'failed', reason: /put it anew, or delete it/ } },
    });
    const body = { upstreams: shop.upstreams };
    t.match(await call('PATCH', '/v1/routes/shop', { body }), { status: 409, body: { code: 'wrong_state' } });
    const mended = await call(method, '/v1/routes/shop', method === 'PUT' ? { body: shop } : {});
    t.ok(mended.status < 300, `${method}: ${mended.text}`);
    t.equal((await call('GET', '/v1/routes/shop')).status, method === 'PUT' ? 200 : 404);
  }
});

t.test('a route whose record cannot be read hides no other, says so, and can be deleted', async (t) => {
  const { call, store, acknowledge } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  await call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers: wait });
  const at = new Date().toISOString();
  const odd: [string, unknown][] = [
    ['empty', {}],
    [
      'no-upstreams',
      { hosts: ['x.example.com'], paths: ['/'], redirect: '/y', createdAt: at, updatedAt: at },
    ],
    ['odd-hosts', { hosts: [1, null, 'y.example.com'], paths: {}, upstreams: [{ url: 3 }], createdAt: 7 }],
  ];
  for (const [id, value] of odd)
    await store.commit({ id, changes: [{ op: 'put', kind: 'route', id, value: value as RouteRecord }] });
  for (const [id, value] of [
    ['shop.example.com', {}],
    ['z.example.com', { chain: 7, names: 'all', notAfter: 3 }],
  ] as const)
    await store.commit({
      id,
      changes: [{ op: 'put', kind: 'certificate', id, value: value as unknown as CertificateRecord }],
    });
  const certificates = await call('GET', '/v1/certificates');
  t.match(certificates, {
    status: 200,
    body: {
      items: [
        {
          id: 'shop.example.com',
          state: 'failed',
          lastError: { detail: /^the record of this certificate has/ },
        },
        { id: 'z.example.com', state: 'failed' },
      ],
    },
  });
  const { status, body } = await call('GET', '/v1/routes');
  t.equal(status, 200);
  t.match(
    body.items.map((one: Route) => [one.id, one.status.state]),
    [
      ['empty', 'failed'],
      ['no-upstreams', 'failed'],
      ['odd-hosts', 'failed'],
      ['shop', 'pending'],
    ],
    'and a route whose certificate is unreadable is not live',
  );
  for (const [id] of odd) {
    t.match((await call('GET', `/v1/routes/${id}`)).body.status, {
      reason: /^the record of this route has/,
      nodes: { live: 0, behind: [{ node: 'edge-1' }] },
    });
    t.equal((await call('DELETE', `/v1/routes/${id}`)).status, 204, `${id} goes`);
  }
});

t.test('names the upstreams that edges find unhealthy, in words', async (t) => {
  const { call, report } = await startControlPlane(t, testFolder(t));
  const url = 'http://10.0.0.5:3000';
  const health: RouteHealth = {
    active: {
      path: '/',
      method: 'GET',
      intervalMs: 1_000,
      timeoutMs: 500,
      expectStatus: 200,
      healthyAfter: 1,
      unhealthyAfter: 1,
    },
    noneHealthy: 'try_all',
  };
  await report('edge-1');
  const body = { ...shop, id: 'shop', upstreams: [{ url, weight: 2 }], health };
  t.equal((await call('POST', '/v1/routes', { body })).status, 201);
  const since = new Date().toISOString();
  const found = { key: healthKeyOf({ url }, health), url, since, detail: 'connection refused' };
  const other = { ...found, key: healthKeyOf({ url }, { ...health, slowStartMs: 1_000 }) };
  await report('edge-2', { upstreams: { watched: 2, unhealthy: 2, first: [found, other] } });
  const unhealthy = await waitFor(
    async () => (await call('GET', '/v1/routes/shop')).body.status.unhealthy as object[] | undefined,
    { what: 'the report to be heard' },
  );
  const time = since.slice(11, 16);
  const detail = `edge-2 finds ${url} unhealthy since ${time}: connection refused`;
  t.same(unhealthy, [{ node: 'edge-2', url, since, detail }], 'not what is known by another question');
});

t.test('refuses what says of upstreams what cannot be', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const url = 'http://10.0.0.5:3000';
  for (const [wrong, pointer, detail] of [
    [{ upstreams: [{ url, weight: 0 }] }, '/upstreams', /weight above 0/],
    [{ upstreams: [{ url, backup: true }] }, '/upstreams', /is no backup/],
    [{ balance: { policy: 'hash' } }, '/balance/hash', /by what/],
    [{ balance: { hash: { by: 'client_address' } } }, '/balance/hash', /belongs to the policy "hash"/],
    [{ balance: { policy: 'hash', hash: { by: 'header' } } }, '/balance/hash/name', /is missing/],
    [{ balance: { policy: 'fastest' } }, '/balance/policy', /least_requests/],
    [{ balance: { sticky: { cookie: 'a b' } } }, '/balance/sticky/cookie', /no name of a cookie/],
    [{ health: {} }, '/health/active', /active checks, by passive ones/],
    [{ health: { active: { path: 'healthz' } } }, '/health/active/path', /starts with \//],
    [{ health: { active: { expectStatus: '20x' } } }, '/health/active/expectStatus', /"200-399"/],
    [{ health: { active: { method: 'HEAD', expectBody: 'ok' } } }, '/health/active/expectBody', /no body/],
    [{ health: { active: { host: 'a b' } } }, '/health/active/host', /host/],
    [{ retries: { attempts: 0 } }, '/retries/attempts', /at least 1/],
    [{ retries: { attempts: 1, on: ['timeout'] } }, '/retries/on/0', /connect, reset, 5xx/],
  ] as const) {
    const { status, body } = await call('POST', '/v1/routes', { body: { ...shop, ...wrong } });
    t.equal(status, 400, pointer);
    t.match(body.errors, [{ pointer, detail }], JSON.stringify(body.errors));
  }
});
