import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { routeIdOf } from '@lockstep/caddy';
import { createLocalhostCertificate, runOpenssl, testFolder } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { makeCertificate } from '../brought-certificate.ts';
import { adminToken, startControlPlane } from '../start-control-plane.ts';

const routes = '/config/apps/http/servers/srv0/routes';
const body = (id: string, host: string, dial = '10.20.0.11:3000') => ({
  '@id': id,
  match: [{ host: [host] }],
  handle: [{ handler: 'reverse_proxy', upstreams: [{ dial }] }],
  terminal: true,
});

async function start(t: Test, host = '127.0.0.1') {
  const controlPlane = await startControlPlane(t, testFolder(t), { caddyApi: { host, port: 0 } });
  const url = `http://127.0.0.1:${controlPlane.caddyApi!.port}`;
  async function caddy(method: string, path: string, given?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(url + path, {
      method,
      headers: { ...(given === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(given === undefined ? {} : { body: typeof given === 'string' ? given : JSON.stringify(given) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      text,
      body:
        text.startsWith('{') || text.startsWith('[') || text.startsWith('"') || text.startsWith('null')
          ? JSON.parse(text)
          : null,
      etag: response.headers.get('etag') ?? '',
    };
  }
  return { ...controlPlane, caddy, url, apiUrl: controlPlane.url };
}

t.test('a backend that writes to Caddy posts, reads back, changes and deletes', async (t) => {
  const { caddy, call, store } = await start(t);
  t.strictSame((await caddy('GET', routes)).body, null);
  t.match(await caddy('DELETE', '/id/tenant-4821'), {
    status: 404,
    body: { error: "unknown object ID 'tenant-4821'" },
  });
  const posted = await caddy('POST', `${routes}/`, body('tenant-4821', 'shop.example.com'));
  t.match(posted, { status: 200, text: '' });
  t.match(await call('GET', '/v1/routes/tenant-4821'), {
    status: 200,
    body: { hosts: ['shop.example.com'], upstreams: [{ url: 'http://10.20.0.11:3000' }] },
  });
  t.strictSame(
    (await caddy('GET', '/id/tenant-4821')).body,
    body('tenant-4821', 'shop.example.com'),
    'as it was posted',
  );
  t.match(await caddy('POST', routes, body('tenant-4821', 'other.example.com')), {
    status: 400,
    body: { error: /duplicate ID 'tenant-4821'/ },
  });

  const upstreams = '/id/tenant-4821/handle/0/upstreams';
  t.match(await caddy('PATCH', upstreams, [{ dial: '10.20.0.15:3001' }]), { status: 200, text: '' });
  t.equal((await caddy('PATCH', `${upstreams}/0/dial`, '"10.20.0.16:3001"')).status, 200);
  t.strictSame((await caddy('GET', upstreams)).body, [{ dial: '10.20.0.16:3001' }]);
  t.match((await call('GET', '/v1/routes/tenant-4821')).body.upstreams, [{ url: 'http://10.20.0.16:3001' }]);
  t.equal((await caddy('POST', upstreams, { dial: '10.20.0.17:3001' })).status, 200);
  t.equal((await call('GET', '/v1/routes/tenant-4821')).body.upstreams.length, 2);
  t.equal((await caddy('PATCH', '/id/tenant-4821', body('tenant-4821', 'shop.example.com'))).status, 200);
  t.match((await call('GET', '/v1/routes/tenant-4821')).body.upstreams, [{ url: 'http://10.20.0.11:3000' }]);

  t.equal(
    (await caddy('POST', `${routes}/...`, [body('a', 'a.example.com'), body('b', 'b.example.com')])).status,
    200,
  );
  t.equal((await caddy('PUT', `${routes}/0`, body('first', 'first.example.com'))).status, 200);
  t.strictSame(
    (await caddy('GET', '/config/')).body.apps.http.servers.srv0.routes.map(
      (one: { '@id': string }) => one['@id'],
    ),
    ['first', 'tenant-4821', 'a', 'b'],
  );
  t.match(await caddy('DELETE', '/id/tenant-4821'), { status: 200, text: '' });
  t.equal((await call('GET', '/v1/routes/tenant-4821')).status, 404);
  t.equal(await store.get('caddy-route', 'tenant-4821'), null);
  t.equal((await caddy('DELETE', '/id/tenant-4821')).status, 404);
});

t.test('ids of any form are told apart', async (t) => {
  const { caddy } = await start(t);
  const ids = ['a.b', 'a:b', 'a/b/c', 'a b', 'ü', 'caddy-YTpi', 'x'.repeat(300)];
  for (const [index, id] of ids.entries())
    t.equal((await caddy('POST', routes, body(id, `h${index}.example.com`))).status, 200, id);
  for (const [index, id] of ids.entries()) {
    const path = `/id/${id.split('/').map(encodeURIComponent).join('/')}`;
    t.strictSame((await caddy('GET', `${path}/match/0/host`)).body, [`h${index}.example.com`], id);
    t.equal((await caddy('DELETE', path)).status, 200, id);
  }
  t.strictSame((await caddy('GET', '/config/')).body, { apps: { http: { servers: {} } } });
});

t.test('an id inside a body is one by which a part is read and changed, and there once', async (t) => {
  const { caddy, call, store, apiUrl } = await start(t);
  const inner = (id: string, host: string, inside: string) => {
    const [handler] = body(id, host).handle;
    return { ...body(id, host), handle: [{ '@id': inside, ...handler }] };
  };
  const given = inner('x', 'x.example.com', 'proxy/x');
  t.equal((await caddy('POST', routes, given)).status, 200);
  t.strictSame((await caddy('GET', '/id/x')).body, given);
  t.equal((await caddy('PATCH', '/id/proxy/x/upstreams/0/dial', '"10.0.0.2:1"')).status, 200);
  t.strictSame((await caddy('GET', '/id/proxy%2Fx')).body, {
    '@id': 'proxy/x',
    handler: 'reverse_proxy',
    upstreams: [{ dial: '10.0.0.2:1' }],
  });
  t.match((await call('GET', '/v1/routes/x')).body.upstreams, [{ url: 'http://10.0.0.2:1' }]);
  await caddy('POST', routes, body('y', 'y.example.com'));
  for (const [id, inside] of [
    ['proxy/x', 'other'],
    ['z', 'proxy/x'],
    ['z', 'y'],
    ['z', 'z'],
  ] as const)
    t.match(await caddy('POST', routes, inner(id, 'z.example.com', inside)), {
      status: 400,
      body: { error: /duplicate ID '/ },
    });
  const [handler] = body('z', 'z.example.com').handle;
  const named = Array.from({ length: 101 }, (_, index) => ({ '@id': `h${index}`, handler: 'headers' }));
  t.match(await caddy('POST', routes, { ...body('z', 'z.example.com'), handle: [...named, handler] }), {
    status: 400,
    body: { error: /@id: stands at more than 100 places/ },
  });
  t.equal((await caddy('PATCH', '/id/proxy/x/@id', '"renamed"')).status, 200);
  t.equal((await caddy('GET', '/id/proxy/x')).status, 404);
  t.equal((await caddy('GET', '/id/renamed/upstreams/0/dial')).body, '10.0.0.2:1');
  const deleted = await fetch(`${apiUrl}/v1/routes/bulk-delete`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/x-ndjson' },
    body: '{"id":"x"}\n{"id":"y"}\n',
  });
  t.equal((await deleted.text()).match(/"status":204/g)?.length, 2);
  t.equal((await caddy('GET', '/id/renamed')).status, 404);
  t.equal(await store.count('caddy-route'), 0, 'bodies go with their routes, many at once too');
  t.equal((await caddy('POST', routes, inner('renamed', 'x.example.com', 'x'))).status, 200);
});

t.test('what a Caddy has elsewhere than in its routes stays when a route is written anew', async (t) => {
  const { caddy, call } = await start(t);
  const { rootPem: ca } = await createLocalhostCertificate();
  const outside = { clientCertificates: { ca, mode: 'require' }, plainHttp: 'refuse', tenant: 'harbour' };
  const made = await call('PUT', '/v1/routes/x', {
    body: { ...outside, hosts: ['x.example.com'], upstreams: [{ url: 'http://10.0.0.1:1' }] },
  });
  t.equal(made.status, 201, made.text);
  t.equal((await caddy('PATCH', '/id/x/handle/0/upstreams/0/dial', '"10.0.0.2:1"')).status, 200);
  t.equal((await caddy('PATCH', '/id/x', body('x', 'x.example.com', '10.0.0.3:1'))).status, 200);
  t.match((await call('GET', '/v1/routes/x')).body, {
    ...outside,
    upstreams: [{ url: 'http://10.0.0.3:1' }],
  });
});

t.test('what cannot be expressed is refused by its field, and nothing is written', async (t) => {
  const { caddy, store } = await start(t);
  const shop = body('x', 'shop.example.com');
  const table: [string, string, unknown, number, RegExp][] = [
    ['POST', routes, { ...shop, match: undefined }, 400, /^handle\.0: has no host/],
    [
      'POST',
      routes,
      { ...shop, match: [{ host: ['a.example.com'], header_regexp: {} }] },
      400,
      /^match\.0\.header_regexp: /,
    ],
    [
      'POST',
      routes,
      {
        ...shop,
        match: [
          { host: ['a.example.com'], path: ['/a'] },
          { host: ['b.example.com'], path: ['/b'] },
        ],
      },
      400,
      /^handle\.0: is a second way/,
    ],
    [
      'POST',
      routes,
      { ...shop, handle: [{ handler: 'reverse_proxy', upstreams: [{ dial: '{env.X}:1' }] }] },
      400,
      /^handle\.0\.upstreams\.0\.dial: /,
    ],
    [
      'POST',
      routes,
      { ...shop, handle: [{ ...shop.handle[0], headers: { request: { replace: { a: [] } } } }] },
      400,
      /^handle\.0\.headers\.request\.replace: /,
    ],
    ['POST', `${routes}/...`, [shop, { handle: [] }], 400, /^handle: /],
    [
      'POST',
      routes,
      { ...shop, match: [{ host: Array.from({ length: 101 }, (_, i) => `h${i}.example.com`) }] },
      400,
      /^match: has more than 100 hosts/,
    ],
    ['POST', routes, { ...shop, '@id': true }, 400, /^@id: must be a string or number/],
    ['POST', routes, { ...shop, nosuch: 1 }, 400, /^nosuch: cannot be carried/],
    ['POST', routes, { ...shop, handle: [{ handler: 'nosuch' }] }, 400, /^handle\.0: "nosuch"/],
    ['POST', routes, [shop], 400, /^a route is a JSON object/],
    ['GET', '/id/', undefined, 400, /missing object ID/],
    ['POST', '/adapt', 'x', 400, /^\/adapt: /],
    ['PATCH', routes, [], 400, /is every route of a server/],
    ['DELETE', `${routes}/0`, undefined, 400, /If-Match/],
    ['POST', '/load', {}, 400, /^\/load: /],
    ['POST', '/stop', undefined, 400, /^\/stop: /],
    [
      'POST',
      '/config/apps/tls/certificates/automate',
      '"none.example.com"',
      400,
      /^none\.example\.com: has no route yet/,
    ],
    ['POST', '/config/logging', {}, 400, /is not kept here/],
    ['POST', routes, '{', 400, /not JSON/],
    ['OPTIONS', routes, undefined, 405, /method OPTIONS not allowed/],
  ];
  for (const [method, path, given, status, error] of table)
    t.match(await caddy(method, path, given), { status, body: { error } }, `${method} ${path} ${error}`);
  t.equal(await store.count('route'), 0);
  t.equal(await store.count('caddy-route'), 0);
  t.match(await caddy('POST', routes, shop, { 'content-type': 'text/plain' }), {
    status: 400,
    body: { error: /unacceptable content-type/ },
  });
  t.match(await caddy('GET', routes, undefined, { origin: 'http://elsewhere.example' }), {
    status: 403,
    body: { error: /origin/ },
  });
});

t.test('names that objects inherit, and bodies without end, change nothing beside a route', async (t) => {
  const { caddy } = await start(t);
  await caddy('POST', routes, body('x', 'shop.example.com'));
  for (const path of ['/id/x/__proto__/p', '/id/x/constructor/prototype/p', '/id/x/handle/0/__proto__/p'])
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      t.not(
        (await caddy(method, path, method === 'DELETE' ? undefined : '"v"')).status,
        200,
        `${method} ${path}`,
      );
      t.notOk('p' in {}, 'no object has it now');
    }
  t.match(await caddy('GET', `/id/x${'/a'.repeat(200)}`), {
    status: 404,
    body: { error: "unknown object ID 'x'" },
  });
  t.strictSame((await caddy('GET', '/id/x')).body, body('x', 'shop.example.com'));
  const deep = `${'['.repeat(40_000)}${']'.repeat(40_000)}`;
  for (const given of [deep, `{"match":[{"host":["a.example.com"]}],"handle":${deep}}`])
    t.match(await caddy('POST', routes, given), { status: 400, body: { error: /nested deeper/ } });
  for (const handler of ['constructor', '__proto__', 'toString'])
    t.match(await caddy('POST', routes, { ...body('y', 'y.example.com'), handle: [{ handler }] }), {
      status: 400,
      body: { error: /^handle\.0: ".*" is a handler that routes do not have/ },
    });
  const server = '/config/apps/http/servers/__proto__/routes';
  t.equal((await caddy('POST', server, body('__proto__', 'z.example.com'))).status, 200);
  t.strictSame((await caddy('GET', server)).body, [body('__proto__', 'z.example.com')]);
  t.equal((await caddy('GET', '/config/')).status, 200);
  t.equal((await caddy('GET', '/id/__proto__/match/0/host/0')).body, 'z.example.com');
});

t.test('of two that changed what they had read, one is told that it is another by now', async (t) => {
  const { caddy } = await start(t);
  await caddy('POST', routes, body('x', 'shop.example.com'));
  const { etag } = await caddy('GET', '/id/x');
  t.match(etag, /^"\/id\/x [0-9a-f]{16}"$/);
  const change = (dial: string) =>
    caddy('PATCH', '/id/x/handle/0/upstreams', [{ dial }], { 'if-match': etag });
  t.equal((await change('10.0.0.1:1')).status, 200);
  t.match(await change('10.0.0.2:1'), {
    status: 412,
    body: { error: 'If-Match header did not match current config hash' },
  });
  t.strictSame((await caddy('GET', '/id/x/handle/0/upstreams/0/dial')).body, '10.0.0.1:1');
  t.equal((await caddy('DELETE', '/id/x', undefined, { 'if-match': 'abc' })).status, 400);
  const etags = [
    await caddy('GET', '/id/x'),
    await caddy('GET', '/id/x/handle'),
    await caddy('GET', `${routes}/0`),
  ];
  for (const { etag } of etags) {
    await caddy('PATCH', '/id/x/handle/0/upstreams', [{ dial: '10.0.0.1:1' }]);
    const raced = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        caddy('PATCH', '/id/x/handle/0/upstreams', [{ dial: `10.1.0.${i}:1` }], { 'if-match': etag }),
      ),
    );
    t.strictSame(raced.map(({ status }) => status).sort(), [200, ...Array(11).fill(412)], etag);
  }
  const last = await caddy('GET', '/id/x');
  const ends = await Promise.all([
    ...Array.from({ length: 4 }, () => caddy('DELETE', '/id/x', undefined, { 'if-match': last.etag })),
    ...Array.from({ length: 4 }, (_, i) =>
      caddy('PATCH', '/id/x', body('x', 'shop.example.com', `10.2.0.${i}:1`), { 'if-match': last.etag }),
    ),
  ]);
  t.equal(ends.filter(({ status }) => status === 200).length, 1, 'a DELETE is one of them');
  await caddy('DELETE', '/id/x');
  await caddy('POST', routes, body('x', 'shop.example.com'));
  const index = await caddy('GET', `${routes}/0`);
  t.equal((await caddy('DELETE', `${routes}/0`, undefined, { 'if-match': index.etag })).status, 200);
  t.equal((await caddy('GET', '/id/x')).status, 404);
  const many = await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      caddy('POST', routes, body('same', 'same.example.com', `10.0.0.${i + 1}:1`)),
    ),
  );
  t.equal(many.filter(({ status }) => status === 200).length, 1, 'one of many makes it');
});

t.test(
  'a route that was written elsewhere is shown, and changed only where nothing of it is lost',
  async (t) => {
    const { caddy, call } = await start(t);
    const given = {
      hosts: ['plain.example.com'],
      upstreams: [{ url: 'https://10.0.0.7:8443', tls: { verify: false } }],
      paths: ['/api'],
    };
    await call('PUT', '/v1/routes/plain', { body: given });
    await call('PUT', '/v1/routes/more', {
      body: { ...given, hosts: ['more.example.com'], rateLimit: { requests: 10, perMs: 1_000, by: 'route' } },
    });
    t.match((await caddy('GET', '/id/plain')).body, {
      '@id': 'plain',
      match: [{ host: ['plain.example.com'], path: ['/api/*'] }],
      handle: [
        { upstreams: [{ dial: '10.0.0.7:8443' }], transport: { tls: { insecure_skip_verify: true } } },
      ],
    });
    t.equal((await caddy('PATCH', '/id/plain/handle/0/upstreams/0/dial', '"10.0.0.8:8443"')).status, 200);
    t.match((await call('GET', '/v1/routes/plain')).body, {
      upstreams: [{ url: 'https://10.0.0.8:8443', tls: { verify: false } }],
      paths: ['/api'],
    });
    const refused = await caddy('PATCH', '/id/more/handle/0/upstreams/0/dial', '"10.0.0.8:8443"');
    t.match(refused, { status: 409, body: { error: /\/v1\/routes\/more/ } });

    await caddy('POST', routes, body('x', 'x.example.com'));
    await call('PATCH', '/v1/routes/x', {
      body: {
        upstreams: [{ url: 'http://10.9.9.9' }],
        rateLimit: { requests: 10, perMs: 1_000, by: 'route' },
      },
    });
    t.match(
      (await caddy('GET', '/id/x')).body.handle[0].upstreams,
      [{ dial: '10.9.9.9:80' }],
      'what is served, not what was posted',
    );
    t.equal((await caddy('PATCH', '/id/x/handle/0/upstreams', [{ dial: '10.0.0.1:1' }])).status, 409);
    t.equal((await caddy('PATCH', '/id/x', body('x', 'x.example.com'))).status, 200);
  },
);

t.test('what an import wrote takes the JSON that it came of, where that says the same', async (t) => {
  const { caddy, call } = await start(t);
  const nested = {
    ...body('tenant:1', 'x.example.com'),
    handle: [{ handler: 'subroute', routes: [{ handle: body('', '').handle }] }],
  };
  const id = routeIdOf('tenant:1');
  const route = { hosts: ['x.example.com'], upstreams: [{ url: 'http://10.20.0.11:3000' }] };
  const made = await call('PUT', `/v1/routes/${id}`, { body: { ...route, plainHttp: 'refuse' } });
  const main = '/config/apps/http/servers/main/routes';
  const other = { ...nested, match: [{ host: ['y.example.com'] }] };
  t.match(await caddy('POST', main, other), { status: 400, body: { error: /duplicate ID/ } });
  t.equal((await caddy('POST', main, nested)).status, 200);
  t.strictSame((await caddy('GET', '/id/tenant:1')).body, nested);
  t.strictSame((await caddy('GET', main)).body, [nested]);
  const shown = await call('GET', `/v1/routes/${id}`);
  t.match(
    shown.body,
    { ...route, plainHttp: 'refuse', revision: made.body.revision },
    'nothing of it changes',
  );
  t.equal((await caddy('POST', main, nested)).status, 400, 'once');
  t.equal((await caddy('POST', `${main}/...`, [body('z', 'z.example.com'), nested])).status, 400);
  t.equal((await call('GET', '/v1/routes/z')).status, 404, 'all of a list, or none');
});

t.test('certificates are brought, and one that comes with a route needs nothing', async (t) => {
  const { caddy, call } = await start(t);
  const { chain, key } = await makeCertificate('own.example.com');
  const pem = '/config/apps/tls/certificates/load_pem';
  t.match(await caddy('POST', pem, { certificate: chain, key }), { status: 200, text: '' });
  t.match((await call('GET', '/v1/certificates')).body.items, [
    { origin: 'brought', names: ['own.example.com'] },
  ]);
  const wrong = await caddy('POST', pem, { certificate: chain, key: 'none' });
  t.match(wrong, { status: 400, body: { error: /^\/key / } });
  await caddy('POST', routes, body('x', 'shop.example.com'));
  t.equal((await caddy('POST', '/config/apps/tls/certificates/automate', '"shop.example.com"')).status, 200);
  t.equal(
    (await caddy('POST', '/config/apps/tls/automation/policies/0/subjects/...', ['shop.example.com'])).status,
    200,
  );
});

t.test('what is secret in a body is kept sealed, and given back', async (t) => {
  const { caddy, call, store } = await start(t);
  const password = '$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG';
  const given = body('x', 'shop.example.com');
  const auth = {
    handler: 'authentication',
    providers: { http_basic: { accounts: [{ username: 'bob', password }] } },
  };
  const whole = { ...given, handle: [auth, ...given.handle] };
  t.equal((await caddy('POST', routes, whole)).status, 200);
  t.notMatch(JSON.stringify([await store.get('route', 'x'), await store.get('caddy-route', 'x')]), /Zkx19/);
  t.strictSame((await caddy('GET', '/id/x')).body, whole);
  t.equal((await call('DELETE', '/v1/routes/x')).status, 204);
  t.equal(await store.get('caddy-route', 'x'), null, 'it goes with the route, whoever deletes that');
});

t.test('beyond loopback it is served by the TLS of the API, to clients with a certificate', async (t) => {
  const folder = testFolder(t);
  const made = await createLocalhostCertificate();
  // Its own CA: what it is for is not said in it.
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const out = ['-keyout', 'client.key', '-out', 'client.crt'];
  await runOpenssl(folder, 'req', '-x509', ...newKey, ...out, '-subj', '/CN=backend', '-days', '2');
  const files = {
    cert: join(folder, 'a.crt'),
    key: join(folder, 'a.key'),
    clientCa: join(folder, 'client.crt'),
  };
  writeFileSync(files.cert, made.chain);
  writeFileSync(files.key, made.keyPem);
  const { caddyApi } = await startControlPlane(t, folder, {
    caddyApi: { host: '0.0.0.0', port: 0 },
    tls: files,
  });
  const ask = (given: { cert?: string; key?: string; token?: string }) =>
    new Promise<number>((resolve, reject) => {
      const { token, ...identity } = given;
      const options = {
        ...{ host: '127.0.0.1', port: caddyApi!.port, path: routes, agent: false, servername: 'localhost' },
        ...{ ca: made.rootPem, ...identity },
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      };
      const sent = request(options, (response) => resolve(response.resume().statusCode ?? 0));
      sent.on('error', reject).end();
    });
  const [cert, key] = ['client.crt', 'client.key'].map((name) => readFileSync(join(folder, name), 'utf8'));
  const client = { cert: cert!, key: key! };
  t.equal(await ask({ ...client, token: adminToken }), 200);
  t.equal(await ask(client), 401, 'a certificate is no token');
  await t.rejects(ask({ token: adminToken }), 'nor is a token a certificate');
  await t.rejects(fetch(`http://127.0.0.1:${caddyApi!.port}${routes}`), 'nothing is said in the clear');
});

t.test('beyond loopback each call needs a token, and a token is held to what it is for', async (t) => {
  const { caddy, call } = await start(t, '0.0.0.0');
  t.equal((await caddy('POST', routes, body('x', 'shop.example.com'))).status, 401);
  const admin = { authorization: `Bearer ${adminToken}` };
  t.equal((await caddy('POST', routes, body('x', 'shop.example.com'), admin)).status, 200);
  const made = await call('POST', '/v1/tokens', { body: { name: 'reader', scopes: ['routes:read'] } });
  const reader = { authorization: `Bearer ${made.body.token}` };
  t.equal((await caddy('GET', '/id/x', undefined, reader)).status, 200);
  t.match(await caddy('DELETE', '/id/x', undefined, reader), {
    status: 403,
    body: { error: /routes:write/ },
  });
  const tenant = await call('POST', '/v1/tokens', {
    body: { name: 'b', scopes: ['routes:write'], tenant: 'b' },
  });
  const other = { authorization: `Bearer ${tenant.body.token}` };
  t.equal((await caddy('GET', '/id/x', undefined, other)).status, 404);
  t.equal((await caddy('DELETE', '/id/x', undefined, other)).status, 404);
  t.strictSame((await caddy('GET', routes, undefined, other)).body, null);
  const wrong = { authorization: 'Bearer wrong' };
  const tries = await Promise.all(Array.from({ length: 80 }, () => caddy('GET', routes, undefined, wrong)));
  t.ok(tries.some(({ status }) => status === 401));
  t.match(await caddy('GET', routes, undefined, wrong), { status: 429, body: { error: /too many tokens/ } });
});
