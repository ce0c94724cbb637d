import { rootCertificates } from 'node:tls';
import t from 'tap';
import { type Plan, routeIdOf, storageKeyOf, translateCaddy, translateRoute } from '../src/index.ts';

const bcrypt = '$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG';
const proxy = { handler: 'reverse_proxy', upstreams: [{ dial: '10.20.0.11:3000' }] };
const [pem] = rootCertificates;
const shop = { match: [{ host: ['shop.example.com'] }], terminal: true };

function plan(routes: unknown[], tls: unknown = {}, server: object = {}): Plan {
  return translateCaddy({
    apps: { http: { servers: { srv0: { listen: [':443'], routes, ...server } } }, tls },
  });
}

/** What the only handler of a host becomes. */
function one(handle: object[]) {
  const { routes, notes } = translateRoute({ ...shop, handle });
  return { route: routes[0]?.body, routes, notes };
}

const subroute = (...routes: object[]) => ({ handler: 'subroute', routes });
const response = (status: number, more: object = {}) => ({
  handler: 'static_response',
  status_code: status,
  ...more,
});

t.test('each thing that is carried becomes the field of a route', async (t) => {
  const table: [string, object[], object][] = [
    ['a proxy', [proxy], { upstreams: [{ url: 'http://10.20.0.11:3000' }], paths: ['/'] }],
    ['a subroute', [subroute({ handle: [proxy] })], { upstreams: [{ url: 'http://10.20.0.11:3000' }] }],
    [
      'TLS to upstreams',
      [
        {
          ...proxy,
          transport: { protocol: 'http', tls: { server_name: 'app.internal', insecure_skip_verify: true } },
        },
      ],
      { upstreams: [{ url: 'https://10.20.0.11:3000', tls: { serverName: 'app.internal', verify: false } }] },
    ],
    [
      'a socket',
      [{ ...proxy, upstreams: [{ dial: 'unix//run/app.sock' }] }],
      { upstreams: [{ url: 'unix:/run/app.sock' }] },
    ],
    [
      'h2c',
      [{ ...proxy, transport: { protocol: 'http', versions: ['h2c', '2'] } }],
      { upstreams: [{ protocol: 'h2c' }] },
    ],
    [
      'what edges send anyway, and what they do not',
      [
        {
          ...proxy,
          headers: {
            request: { set: { Host: ['{http.request.host}'], 'X-Real-IP': ['{http.request.remote.host}'] } },
            response: { delete: ['Server'] },
          },
        },
      ],
      {
        headers: { request: { set: { 'X-Real-IP': '{client_address}' } }, response: { remove: ['Server'] } },
      },
    ],
    [
      'the host of the upstream',
      [{ ...proxy, headers: { request: { set: { Host: ['{http.reverse_proxy.upstream.hostport}'] } } } }],
      { upstreams: [{ host: 'upstream' }] },
    ],
    [
      'balancing, health and times',
      [
        {
          ...proxy,
          upstreams: [{ dial: 'a:1' }, { dial: 'b:2' }],
          load_balancing: { selection_policy: { policy: 'least_conn' }, retries: 3 },
          health_checks: {
            active: { uri: '/up', interval: '5s', expect_status: 2 },
            passive: { fail_duration: 10e9, max_fails: 2 },
          },
          transport: { protocol: 'http', dial_timeout: 2e9, response_header_timeout: '30s' },
        },
      ],
      {
        balance: { policy: 'least_requests' },
        retries: { attempts: 3, on: ['connect'] },
        health: {
          active: { path: '/up', intervalMs: 5_000, expectStatus: '2xx' },
          passive: { failures: 2, withinMs: 10_000 },
          noneHealthy: 'refuse',
        },
        timeouts: { connectMs: 2_000, firstByteMs: 30_000 },
      },
    ],
    [
      'a response',
      [response(418, { body: 'no', headers: { 'X-A': ['b'] } })],
      { response: { status: 418, body: 'no', headers: { 'X-A': 'b' } } },
    ],
    [
      'a redirect with the path and the query',
      [response(308, { headers: { Location: ['https://new.example.com{http.request.uri}'] } })],
      { redirect: { to: 'https://new.example.com', status: 308, keepPath: true, keepQuery: true } },
    ],
    [
      'a redirect to one place',
      [response(301, { headers: { location: ['https://{http.request.host}/new'] } })],
      { redirect: { to: 'https://{host}/new', status: 301, keepPath: false } },
    ],
    [
      'compression',
      [{ handler: 'encode', encodings: { gzip: {} }, minimum_length: 512 }, proxy],
      { compression: { minBytes: 512 } },
    ],
    [
      'HSTS and fields of answers',
      [
        {
          handler: 'headers',
          response: {
            set: { 'Strict-Transport-Security': ['max-age=300'], 'X-Frame-Options': ['DENY'] },
            delete: ['Server'],
          },
        },
        proxy,
      ],
      {
        hsts: { maxAge: 300 },
        headers: { response: { set: { 'X-Frame-Options': 'DENY' }, remove: ['Server'] } },
      },
    ],
    [
      'names and passwords',
      [
        {
          handler: 'authentication',
          providers: { http_basic: { realm: 'in', accounts: [{ username: 'bob', password: bcrypt }] } },
        },
        proxy,
      ],
      { basicAuth: { realm: 'in', users: [{ name: 'bob', passwordHash: bcrypt }] } },
    ],
    [
      'hashes as earlier versions keep them',
      [
        {
          handler: 'authentication',
          providers: {
            http_basic: { accounts: [{ username: 'bob', password: Buffer.from(bcrypt).toString('base64') }] },
          },
        },
        proxy,
      ],
      { basicAuth: { realm: 'restricted', users: [{ passwordHash: bcrypt }] } },
    ],
    [
      'a prefix that is put before',
      [{ handler: 'rewrite', uri: '/v1{http.request.uri}' }, proxy],
      { rewrite: { addPrefix: '/v1' } },
    ],
    [
      'a body that is too large',
      [{ handler: 'request_body', max_size: 1_000 }, proxy],
      { limits: { bodyBytes: 1_000 } },
    ],
    [
      'clients by their address',
      [
        subroute(
          { match: [{ not: [{ remote_ip: { ranges: ['10.0.0.0/8'] } }] }], handle: [response(403)] },
          { handle: [proxy] },
        ),
      ],
      { access: { allow: ['10.0.0.0/8'] } },
    ],
  ];
  for (const [name, handle, expected] of table) {
    const { route, notes } = one(handle);
    t.match(route, { hosts: ['shop.example.com'], ...expected }, name);
    t.strictSame(notes, [], name);
  }
});

t.test('what could not be served as it is there is left out, and its place is named', async (t) => {
  const table: [string, object, string][] = [
    ['no host', { handle: [proxy] }, 'handle.0'],
    [
      'a regular expression',
      { match: [{ host: ['a.example.com'], header_regexp: {} }], handle: [proxy] },
      'match.0.header_regexp',
    ],
    [
      'a placeholder in dial',
      { ...shop, handle: [{ ...proxy, upstreams: [{ dial: '{http.vars.x}:80' }] }] },
      'handle.0.upstreams.0.dial',
    ],
    ['no upstreams', { ...shop, handle: [{ handler: 'reverse_proxy' }] }, 'handle.0.upstreams'],
    [
      'upstreams from elsewhere',
      { ...shop, handle: [{ handler: 'reverse_proxy', dynamic_upstreams: { source: 'srv' } }] },
      'handle.0.dynamic_upstreams',
    ],
    [
      'FastCGI',
      { ...shop, handle: [{ ...proxy, transport: { protocol: 'fastcgi' } }] },
      'handle.0.transport.protocol',
    ],
    ['files', { ...shop, handle: [{ handler: 'file_server' }] }, 'handle.0'],
    ['a handler that nobody here knows', { ...shop, handle: [{ handler: 'rate_limit' }, proxy] }, 'handle.0'],
    [
      'another authentication',
      { ...shop, handle: [{ handler: 'authentication', providers: { jwt: {} } }, proxy] },
      'handle.0.providers.jwt',
    ],
    [
      'an authentication elsewhere',
      { ...shop, handle: [{ ...proxy, handle_response: [{}] }, proxy] },
      'handle.0.handle_response',
    ],
    [
      'a path with a star in it',
      { match: [{ host: ['a.example.com'], path: ['*.php'] }], handle: [proxy] },
      'match.0.path.0',
    ],
    [
      'a status that is known later',
      { ...shop, handle: [{ handler: 'static_response', status_code: '{http.vars.s}' }] },
      'handle.0.status_code',
    ],
    [
      'a rewrite by expressions',
      { ...shop, handle: [{ handler: 'rewrite', path_regexp: [{}] }, proxy] },
      'handle.0.path_regexp',
    ],
  ];
  for (const [name, route, at] of table) {
    const { routes, notes } = translateRoute(route);
    t.strictSame(routes, [], name);
    t.match(notes, [{ level: 'left_out', at }], name);
  }
});

t.test('what is carried without a part says so', async (t) => {
  const { route, notes } = one([
    { ...proxy, headers: { request: { set: { 'X-A': ['{http.vars.x}'] }, replace: { B: [] } } } },
  ]);
  t.match(route, { upstreams: [{ url: 'http://10.20.0.11:3000' }] });
  t.strictSame(
    notes.map(({ level, at }) => [level, at]),
    [
      ['without', 'handle.0.headers.request.replace'],
      ['without', 'handle.0.headers.request.set.X-A'],
    ],
  );
});

t.test('subroutes become flat: what happens on the way happens to all that is behind it', async (t) => {
  const { routes } = one([
    subroute(
      {
        match: [{ path: ['/static/*'] }],
        handle: [{ handler: 'headers', response: { set: { 'Cache-Control': ['max-age=60'] } } }],
      },
      { handle: [{ handler: 'encode', encodings: { gzip: {} } }] },
      {
        group: 'g',
        match: [{ path: ['/api/*'] }],
        handle: [
          subroute(
            { handle: [{ handler: 'rewrite', strip_path_prefix: '/api' }] },
            { match: [{ path: ['/v2/*'] }], handle: [response(410)] },
            { handle: [proxy] },
          ),
        ],
      },
      { group: 'g', handle: [{ ...proxy, upstreams: [{ dial: '10.20.0.12:80' }] }] },
    ),
  ]);
  t.match(
    routes.map(({ body }) => body),
    [
      { paths: ['/api/v2'], response: { status: 410 }, compression: true },
      {
        paths: ['/api'],
        upstreams: [{ url: 'http://10.20.0.11:3000' }],
        rewrite: { stripPrefix: '/api' },
        compression: true,
      },
      { paths: ['/'], upstreams: [{ url: 'http://10.20.0.12' }], compression: true },
      {
        paths: ['/static'],
        headers: { response: { set: { 'Cache-Control': 'max-age=60' } } },
        compression: true,
      },
    ],
  );
  t.equal(routes.length, 4);
  t.notOk(routes[2]?.body.headers);
});

t.test('nobody comes in for want of a rule that keeps them out', async (t) => {
  const { routes, notes } = one([
    subroute({ match: [{ expression: 'x' }], handle: [response(403)] }, { handle: [proxy] }),
  ]);
  t.strictSame(routes, []);
  t.match(
    notes.map(({ at }) => at),
    ['handle.0.routes.0.match.0.expression'],
  );
  const admin = one([
    subroute(
      { match: [{ path: ['/admin/*'] }], handle: [{ handler: 'authentication', providers: { jwt: {} } }] },
      { handle: [proxy] },
    ),
  ]);
  t.strictSame(admin.routes, []);
  const clients = plan(
    [{ ...shop, handle: [proxy] }],
    {},
    {
      tls_connection_policies: [{ client_authentication: { trusted_leaf_certs: ['x'] } }],
    },
  );
  t.strictSame(clients.routes, []);
});

t.test(
  'who has to show a certificate of a CA in a file has to here, or the site is left out and named',
  async (t) => {
    const asking = (authentication: object, readFile?: (file: string) => string | null) =>
      translateCaddy(
        {
          apps: {
            http: {
              servers: {
                srv0: {
                  listen: [':443'],
                  routes: [{ ...shop, handle: [proxy] }],
                  tls_connection_policies: [
                    { match: { sni: ['shop.example.com'] }, client_authentication: authentication },
                    {},
                  ],
                },
              },
            },
          },
        },
        readFile && { readFile },
      );
    const inFile = { ca: { provider: 'file', pem_files: ['/ca.pem'] }, mode: 'require_and_verify' };
    const carried = asking(inFile, (file) => (file === '/ca.pem' ? pem! : null));
    t.match(carried.routes, [{ body: { clientCertificates: { ca: `${pem}\n`, mode: 'require' } } }]);
    const table: [object, RegExp][] = [
      [inFile, /the CAs of \/ca.pem, which cannot be read here/],
      [{ ca: { provider: 'http', endpoints: ['x'] } }, /from "http"/],
      [{ ...inFile, verifiers: [{ verifier: 'leaf' }] }, /has "verifiers"/],
      [{ trusted_ca_certs_pem_files: ['/ca.pem'], mode: 'require' }, /\/ca.pem, which cannot be read/],
    ];
    for (const [authentication, detail] of table) {
      const { routes, notes } = asking(authentication);
      t.strictSame(routes, []);
      t.match(notes, [{ level: 'left_out', hosts: ['shop.example.com'], detail }]);
    }
  },
);

t.test('what is told of a site names its hosts, by the nearest matcher on the way there', async (t) => {
  const { notes } = plan([
    {
      match: [{ host: ['a.example.com', 'b.example.com'] }],
      handle: [
        subroute(
          { match: [{ host: ['b.example.com'] }], handle: [{ handler: 'file_server' }] },
          { match: [{ path_regexp: { pattern: 'x' } }], handle: [proxy] },
          { handle: [proxy] },
        ),
      ],
      terminal: true,
    },
  ]);
  t.match(notes, [
    { at: /routes.0.handle.0$/, hosts: ['b.example.com'] },
    { at: /path_regexp$/, hosts: ['a.example.com', 'b.example.com'] },
  ]);
});

t.test('what is left out with nothing behind it is told of all the same', async (t) => {
  const { routes, notes } = plan([
    { match: [{ host: ['a.example.com'] }], handle: [{ handler: 'webdav' }], terminal: true },
    {
      match: [{ host: ['b.example.com'] }],
      handle: [
        subroute(
          { match: [{ path: ['/cgi/*'] }], handle: [{ handler: 'cgi' }] },
          { match: [{ path: ['/app/*'] }], handle: [proxy] },
        ),
      ],
      terminal: true,
    },
    { ...shop, handle: [proxy], nonsense: 1 },
  ]);
  t.match(notes, [
    { level: 'without', at: 'apps.http.servers.srv0.routes.2.nonsense' },
    { level: 'left_out', hosts: ['a.example.com'], detail: /^"webdav"/ },
    { level: 'left_out', hosts: ['b.example.com'], detail: /^"cgi"/ },
  ]);
  t.equal(notes.length, 3);
  t.match(
    routes.map(({ body }) => body.paths),
    [['/app'], ['/']],
  );
});

t.test('what stands behind something that answers all of it is not served', async (t) => {
  const { routes, notes } = plan([
    { match: [{ host: ['a.example.com', 'b.example.com'] }], handle: [proxy], terminal: true },
    { match: [{ host: ['b.example.com', 'c.example.com'] }], handle: [response(404)], terminal: true },
    { match: [{ host: ['a.example.com'] }], handle: [response(404)], terminal: true },
  ]);
  t.match(
    routes.map(({ body }) => body.hosts),
    [['a.example.com', 'b.example.com'], ['c.example.com']],
  );
  t.match(notes, [{ level: 'told', at: 'apps.http.servers.srv0.routes.2.handle.0' }]);
});

t.test('issuers, the chain of each host, and on demand', async (t) => {
  const acme = { module: 'acme', email: 'ops@example.com' };
  const { issuers, chain, routes, onDemand, notes } = plan(
    [
      { ...shop, handle: [proxy] },
      { match: [{ host: ['int.example.com'] }], handle: [proxy] },
      { handle: [{ ...proxy, upstreams: [{ dial: '10.0.0.8:3000' }] }] },
    ],
    {
      automation: {
        policies: [
          { subjects: ['int.example.com'], issuers: [{ module: 'internal' }] },
          {
            issuers: [
              acme,
              {
                module: 'acme',
                ca: 'https://ca.example.net/dir',
                external_account: { key_id: 'k', mac_key: 'bQ' },
              },
            ],
            on_demand: true,
          },
        ],
        on_demand: { permission: { module: 'http', endpoint: 'http://127.0.0.1:5555/ask' } },
      },
    },
  );
  t.match(issuers, [
    { name: 'internal', body: null },
    { name: 'letsencrypt', body: { directory: /letsencrypt/, email: 'ops@example.com' } },
    { name: 'ca-example-net', body: { eab: { kid: 'k', hmacKey: 'bQ' } } },
  ]);
  t.strictSame(chain, ['letsencrypt', 'ca-example-net']);
  t.strictSame(
    routes.map(({ body }) => body.issuers),
    [undefined, ['internal']],
  );
  t.strictSame(onDemand, { ask: 'http://127.0.0.1:5555/ask', upstreams: [{ url: 'http://10.0.0.8:3000' }] });
  t.strictSame(notes, []);
});

t.test('the same configuration gives the same ids, and no two ids of Caddy become one', async (t) => {
  const config = [
    { '@id': 'tenant-4821', ...shop, handle: [proxy] },
    { match: [{ host: ['other.example.com'], path: ['/a/*', '/b'] }], handle: [proxy] },
    { match: [{ host: ['other.example.com'], path: ['/api'], method: ['GET'] }], handle: [proxy] },
  ];
  const ids = plan(config).routes.map(({ id }) => id);
  t.equal(ids[0], 'tenant-4821');
  t.equal(new Set(ids).size, 3);
  t.strictSame(
    plan(config.reverse())
      .routes.map(({ id }) => id)
      .reverse(),
    ids,
  );
  const odd = [
    'a',
    'A',
    'a.b',
    'a:b',
    'a/b',
    'a b',
    'caddy-YTpi',
    'é',
    'x'.repeat(200),
    'x'.repeat(201),
    '.a',
    '',
  ];
  t.equal(new Set(odd.map(routeIdOf)).size, odd.length);
  for (const id of odd) t.match(routeIdOf(id), /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);
});

t.test('whatever it is given, it translates or tells, and never throws', async (t) => {
  const pieces: unknown[] = [
    null,
    1,
    'x',
    [],
    {},
    [null],
    { handler: 1 },
    { host: 1 },
    [[]],
    { a: { b: 1 } },
    true,
  ];
  const names = [
    'match',
    'handle',
    'upstreams',
    'headers',
    'transport',
    'routes',
    'load_balancing',
    'health_checks',
    'providers',
    'response',
  ];
  for (const name of names)
    for (const piece of pieces) {
      for (const handler of [
        'reverse_proxy',
        'subroute',
        'static_response',
        'headers',
        'authentication',
        'rewrite',
        'encode',
      ])
        translateRoute({ match: [{ host: ['a.example.com'] }], handle: [{ handler, [name]: piece }, proxy] });
      translateRoute({ [name]: piece });
      translateCaddy({
        apps: {
          http: { servers: { a: { [name]: piece, routes: piece } } },
          tls: { automation: { policies: piece, on_demand: piece }, certificates: piece },
        },
      });
      translateCaddy({ apps: piece });
    }
  t.pass('nothing was thrown');
});

t.test('the folders of its storage are those of certmagic', async (t) => {
  t.equal(
    storageKeyOf('https://acme-v02.api.letsencrypt.org/directory'),
    'acme-v02.api.letsencrypt.org-directory',
  );
  t.equal(storageKeyOf('https://localhost:14000/dir'), 'localhost-14000-dir');
});
