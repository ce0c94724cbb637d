import { startCaddy, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const routes = '/config/apps/http/servers/srv0/routes';
const proxy = (dial: string) => ({ handler: 'reverse_proxy', upstreams: [{ dial }] });
const body = (id: string, host: string, dial = '10.20.0.11:3000') => ({
  '@id': id,
  match: [{ host: [host] }],
  handle: [proxy(dial)],
  terminal: true,
});
const nested = {
  '@id': 'nested.1:x',
  match: [{ host: ['a.example.com', 'b.example.com'] }],
  handle: [
    {
      handler: 'subroute',
      routes: [
        {
          handle: [
            {
              ...proxy('10.20.0.12:3000'),
              load_balancing: { selection_policy: { policy: 'round_robin' } },
              headers: {
                request: {
                  set: { Host: ['{http.request.host}'], 'X-Real-IP': ['{http.request.remote.host}'] },
                },
              },
            },
          ],
        },
      ],
    },
  ],
  terminal: true,
};

const inner = (id: string, host: string, inside: string) => ({
  ...body(id, host),
  handle: [{ '@id': inside, ...proxy('10.20.0.11:3000') }],
});
/** As `handle_path` of a Caddyfile becomes it. */
const handlePath = {
  ...body('hp', 'hp.example.com'),
  handle: [
    {
      handler: 'subroute',
      routes: [
        {
          match: [{ path: ['/api/*'] }],
          handle: [
            {
              handler: 'subroute',
              routes: [
                { handle: [{ handler: 'rewrite', strip_path_prefix: '/api' }] },
                { handle: [proxy('10.20.0.11:3000')] },
              ],
            },
          ],
        },
      ],
    },
  ],
};

const caddy = await startCaddy();
t.teardown(() => caddy.close());

/** What backends send, in this order, and what both are to answer. */
const { chain: certificate, key } = await makeCertificate('own.example.com');
const calls: [method: string, path: string, body?: unknown, headers?: Record<string, string>][] = [
  ['GET', '/id/tenant-4821'],
  ['DELETE', '/id/tenant-4821'],
  ['POST', `${routes}/`, body('tenant-4821', 'shop.example.com')],
  ['POST', routes, nested],
  ['GET', '/id/tenant-4821'],
  ['GET', '/id/nested.1:x'],
  ['GET', routes],
  ['GET', `${routes}/0`],
  ['POST', routes, body('tenant-4821', 'again.example.com')],
  ['PATCH', '/id/tenant-4821/handle/0/upstreams', [{ dial: '10.20.0.15:3001' }]],
  [
    'PATCH',
    '/id/nested.1:x/handle/0/routes/0/handle/0/upstreams',
    [{ dial: '10.20.0.16:1' }, { dial: '10.20.0.17:1' }],
  ],
  ['PATCH', '/id/nested.1:x/handle/0/routes/0/handle/0/upstreams/0/dial', '10.20.0.18:1'],
  ['POST', '/id/tenant-4821/handle/0/upstreams', { dial: '10.20.0.19:1' }],
  ['DELETE', '/id/tenant-4821/handle/0/upstreams/0'],
  ['PUT', '/id/tenant-4821/match/0/path', ['/api/*']],
  ['GET', '/id/tenant-4821'],
  ['GET', '/id/tenant-4821/handle/0/upstreams'],
  ['GET', '/id/tenant-4821/nothing'],
  ['GET', '/id/tenant-4821/nothing/deeper'],
  ['GET', `${routes}/99`],
  ['PATCH', '/id/tenant-4821/nothing', 1],
  ['DELETE', '/id/tenant-4821/nothing'],
  ['PUT', '/id/tenant-4821/handle', []],
  ['PATCH', '/id/tenant-4821/handle/7/x', 1],
  ['PATCH', '/id/tenant-4821', body('tenant-4821', 'shop.example.com', '10.20.0.20:1')],
  ['PATCH', '/id/none', body('none', 'none.example.com')],
  ['POST', `${routes}/...`, [body('x1', 'x1.example.com'), body('x2', 'x2.example.com')]],
  ['PUT', `${routes}/0`, body('first', 'first.example.com')],
  ['PUT', '/id/x1', body('x3', 'x3.example.com')],
  ['PUT', '/id/x1', body('x1', 'x1.example.com')],
  ['PATCH', '/id/x1', body('x1', 'x1.example.com'), { 'if-match': 'unquoted' }],
  ['PATCH', '/id/x1', body('x1', 'x1.example.com'), { 'if-match': `"${routes} 0123456789abcdef"` }],
  ['POST', routes, inner('inner', 'inner.example.com', 'inner-proxy')],
  ['GET', '/id/inner'],
  ['PATCH', '/id/inner-proxy/upstreams/0/dial', '10.20.0.21:1'],
  ['PUT', '/id/inner-proxy/upstreams/0', { dial: '10.20.0.22:1' }],
  ['POST', '/id/inner-proxy/upstreams/...', [{ dial: '10.20.0.23:1' }, { dial: '10.20.0.24:1' }]],
  ['GET', '/id/inner-proxy'],
  ['PATCH', '/id/inner-proxy', { '@id': 'inner-proxy', ...proxy('10.20.0.25:1') }],
  ['GET', '/id/inner/handle/0/upstreams/'],
  ['POST', routes, body('inner-proxy', 'i.example.com')],
  ['POST', routes, inner('i', 'i.example.com', 'inner-proxy')],
  ['POST', routes, inner('i', 'i.example.com', 'i')],
  ['POST', routes, inner('i', 'i.example.com', 'x1')],
  ['PATCH', '/id/inner-proxy/@id', 'renamed'],
  ['GET', '/id/inner-proxy'],
  ['GET', '/id/renamed/upstreams/0/dial'],
  ['GET', '/id/renamed/upstreams/00'],
  ['GET', '/id/renamed/upstreams/-1'],
  ['DELETE', '/id/inner'],
  ['GET', '/id/renamed'],
  ['GET', '/id/'],
  [
    'POST',
    routes,
    { ...body('m', 'm.example.com'), match: [{ host: ['m.example.com'], path: ['/a/*', '/b'] }] },
  ],
  ['POST', '/id/m/match/0/host', 'mm.example.com'],
  ['PUT', '/id/m/match/0/host/0', 'mmm.example.com'],
  ['DELETE', '/id/m/match/0/path/1'],
  ['POST', '/id/m/handle/0/load_balancing', { selection_policy: { policy: 'least_conn' } }],
  ['PATCH', '/id/m/handle/0/load_balancing/selection_policy/policy', 'random'],
  ['GET', '/id/m/'],
  ['POST', routes, handlePath],
  ['GET', '/id/hp'],
  ['POST', routes, { ...body('n', 'n.example.com'), '@id': 42 }],
  ['GET', '/id/42/@id'],
  ['POST', routes, { ...body('n', 'o.example.com'), '@id': true }],
  ['POST', routes, body('ü b', 'ue.example.com'), { 'content-type': 'application/json; charset=utf-8' }],
  ['GET', '/id/%C3%BC%20b/terminal'],
  ['GET', '/id/%zz'],
  ['DELETE', '/id/42'],
  ['DELETE', '/id/x2'],
  ['DELETE', '/id/x2'],
  ['GET', '/id/x2'],
  ['POST', routes, body('t', 't.example.com'), { 'content-type': 'text/plain' }],
  ['OPTIONS', routes],
  ['GET', '/id/x1', undefined, { origin: 'http://elsewhere.example' }],
];

/** What Caddy does, and a fleet does not: the field or the place begins the refusal. */
const refused: [method: string, path: string, body: unknown, error: RegExp][] = [
  ['POST', routes, { handle: [proxy('10.0.0.1:1')] }, /^handle\.0: /],
  [
    'POST',
    routes,
    {
      ...body('r1', 'r.example.com'),
      match: [{ host: ['r.example.com'], header_regexp: { A: { pattern: 'x' } } }],
    },
    /^match\.0\.header_regexp: /,
  ],
  [
    'POST',
    routes,
    {
      ...body('r2', 'r.example.com'),
      match: [
        { host: ['r.example.com'], path: ['/a'] },
        { host: ['s.example.com'], path: ['/b'] },
      ],
    },
    /^handle\.0: /,
  ],
  ['POST', routes, body('r3', 'r.example.com', '{http.vars.x}:80'), /^handle\.0\.upstreams\.0\.dial: /],
  ['POST', routes, { ...body('r4', 'r.example.com'), handle: [{ handler: 'file_server' }] }, /^handle\.0: /],
];

t.test('each call has the status, the answer and the effect that it has at a Caddy', async (t) => {
  const { caddyApi } = await startControlPlane(t, testFolder(t), {
    caddyApi: { host: '127.0.0.1', port: 0 },
  });
  const here = `http://127.0.0.1:${caddyApi!.port}`;
  for (const [index, [method, path, given, headers]] of calls.entries()) {
    const [theirs, ours] = [
      await send(caddy.url, method, path, given, headers),
      await send(here, method, path, given, headers),
    ];
    const name = `${index} ${method} ${path}`;
    t.equal(ours.status, theirs.status, name);
    if (theirs.status === 200) t.strictSame(ours.body, theirs.body, name);
    else t.match(ours.body, { error: String }, name);
  }
  const { etag } = await send(here, 'GET', '/id/x1');
  t.equal((await send(here, 'PATCH', '/id/x1/terminal', false, { 'if-match': etag })).status, 200);
  t.equal((await send(here, 'PATCH', '/id/x1/terminal', true, { 'if-match': etag })).status, 412);
  for (const [method, path, given, error] of refused) {
    t.equal((await send(caddy.url, method, path, given)).status, 200, `${String(error)} goes at a Caddy`);
    t.match(await send(here, method, path, given), { status: 400, body: { error } });
  }
  // Of its tls app Caddy wants each level made first; what backends do once that is done:
  await send(caddy.url, 'PUT', '/config/apps/tls/certificates', { load_pem: [], automate: [] });
  for (const [path, given] of [
    ['/config/apps/tls/certificates/load_pem', { certificate, key }],
    ['/config/apps/tls/certificates/automate', 'shop.example.com'],
  ] as const) {
    t.equal((await send(caddy.url, 'POST', path, given)).status, 200, path);
    t.match(await send(here, 'POST', path, given), { status: 200, body: null }, path);
  }
});

async function send(
  url: string,
  method: string,
  path: string,
  given?: unknown,
  headers: Record<string, string> = {},
) {
  const response = await fetch(url + path, {
    method,
    // Node's fetch calls itself a browser, of which Caddy wants an origin.
    headers: {
      origin: url,
      ...(given === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(given === undefined ? {} : { body: JSON.stringify(given) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    // The parser of HTTP under Caddy answers in its own words.
    body:
      text.trim() === ''
        ? null
        : /^[[{"\dntf]/.test(text) && text !== '400 Bad Request'
          ? JSON.parse(text)
          : text,
    etag: response.headers.get('etag') ?? '',
  };
}
