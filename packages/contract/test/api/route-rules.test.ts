import t, { type Test } from 'tap';
import { PutRoute, PutSettings } from '../../src/schemas.ts';

const host = { hosts: ['shop.example.com'] };
const served = { ...host, upstreams: [{ url: 'http://127.0.0.1:3000' }] };

/** What is wrong with a body, as `field: words`; empty where nothing is. */
function faults(body: unknown): string[] {
  const parsed = PutRoute.safeParse(body);
  if (parsed.success) return [];
  return parsed.error.issues.map(({ path, message, ...issue }) => {
    const unknown = issue.code === 'unrecognized_keys' ? issue.keys : [];
    return `${[...path, ...unknown].join('/')}: ${message}`;
  });
}

const refused = (t: Test, body: object, ...words: RegExp[]) => {
  const said = faults({ ...served, ...body });
  t.ok(said.length > 0, JSON.stringify(body));
  for (const word of words) t.match(said.join('\n'), word, JSON.stringify(body));
};

t.test('a route leads to exactly one thing', async (t) => {
  t.match(faults(host), [/upstreams: is missing: a route leads to one of upstreams, redirect, response/]);
  t.match(faults({ ...host, redirect: { to: '/' }, response: { status: 200 } }), [
    /response: cannot stand beside redirect/,
  ]);
  t.match(faults({ ...served, redirect: { to: '/' } }), [/redirect: cannot stand beside upstreams/]);
  t.same(faults({ ...host, redirect: { to: '/' } }), []);
});

t.test('what says how upstreams are asked stands beside upstreams alone', async (t) => {
  const retries = { attempts: 2, on: ['connect'] };
  t.same(faults({ ...served, retries }), []);
  t.same(faults({ ...host, response: { status: 204 }, retries }), [
    'retries: says how upstreams are asked, of which a route with response has none; leave it out',
  ]);
  t.match(
    faults({ ...host, redirect: { to: '/' }, rewrite: { addPrefix: '/a' }, timeouts: { totalMs: 1_000 } }),
    [/^timeouts: .* a route with redirect/, /^rewrite: /],
  );
});

t.test('a redirect leads to an address or a path, and to no other host by a trick', async (t) => {
  const to = (to: string, more: object = {}) => faults({ ...host, redirect: { to, ...more } });
  for (const good of [
    'https://new.example.com',
    'https://new.example.com:8443/a?b=c#d',
    '/shop',
    '/{route}/{path}',
    'https://{host}/new',
    '{scheme}://{host}/new{path}',
  ])
    t.same(to(good), [], good);
  for (const bad of [
    'new.example.com',
    '//evil.example.com',
    '/\\evil.example.com',
    'javascript:alert(1)',
    'ftp://x',
    'https://',
    'https://a b/',
    '/a b',
    '/a\r\nSet-Cookie: x',
    'https://x@evil.example.com/',
    'https://{client_address}.example.com/',
  ])
    t.match(to(bad), [/redirect\/to: has to be an http or https address/], bad);
  t.match(to('/{hostname}'), [
    /has \{hostname\}, which stands for nothing; there are \{client_address\}, \{host\}/,
  ]);
  t.match(to('/x?a=1', { keepPath: true }), [/leave keepPath out/]);
  t.match(to('/', { status: 300 }), [/status: has to be one of 301, 302, 303, 307, 308/]);
});

t.test('fields that frame a message, and values that would end one, are refused by their name', async (t) => {
  for (const name of [
    'Connection',
    'content-length',
    'Transfer-Encoding',
    'TE',
    'Upgrade',
    'Expect',
    'Keep-Alive',
  ]) {
    for (const side of ['request', 'response']) {
      refused(t, { headers: { [side]: { set: { [name]: 'x' } } } }, /cannot be changed/, new RegExp(name));
      refused(t, { headers: { [side]: { add: { [name]: 'x' } } } }, /cannot be changed/);
      refused(t, { headers: { [side]: { remove: [name] } } }, /cannot be changed/);
    }
  }
  for (const value of ['a\r\nb: c', 'a\nb', 'a\0b', ' a', 'a ', 'ü', '{nothing}'])
    refused(t, { headers: { request: { set: { 'X-A': value } } } });
  for (const name of ['', 'X A', 'X-A:', 'Über', ':authority'])
    refused(t, { headers: { request: { set: { [name]: 'x' } } } });
  refused(t, { headers: { request: { set: { Host: 'x' } } } }, /has "host"/);
  refused(t, { headers: { response: { set: { 'X-A': '1', 'x-a': '2' } } } }, /stands there twice/);
  refused(
    t,
    { headers: { response: { add: { 'Content-Type': 'text/html' } } } },
    /has one value: name it in set/,
  );
  t.same(faults({ ...served, headers: { response: { set: { NEL: '{"max_age":1}', 'X-Empty': '' } } } }), []);
});

t.test('what could never match is refused', async (t) => {
  refused(t, { methods: ['get'] }, /"get" is no method that edges forward/);
  refused(t, { methods: ['CONNECT'] }, /"CONNECT" is no method/);
  refused(t, { methods: [] }, /leave methods out/);
  refused(t, { match: {} }, /asks for nothing/);
  refused(t, { match: { headers: [{ name: 'X-A' }] } }, /needs one of equals and present/);
  refused(
    t,
    { match: { query: [{ name: 'a', equals: '1', present: true }] } },
    /needs one of equals and present/,
  );
  refused(t, { match: { headers: [{ name: 'Forwarded', present: true }] } }, /can never match/);
  refused(t, { match: { headers: [{ name: 'Upgrade', present: true }] } }, /can never match/);
  refused(t, { paths: ['=login'] }, /starts with \//);
  t.same(PutRoute.parse({ ...served, paths: ['=/Caf\u00e9/', '=/a/../b'] }).paths, ['=/Caf%C3%A9/', '=/b']);
});

t.test('what could not be answered or rewritten so is refused', async (t) => {
  t.match(faults({ ...host, response: { status: 101 } }), [/response\/status: has to be at least 200/]);
  t.match(faults({ ...host, response: { status: 204, body: 'x' } }), [
    /response\/body: cannot stand beside the status 204/,
  ]);
  t.match(faults({ ...host, response: { status: 200, headers: { 'Content-Length': '1' } } }), [
    /cannot be changed/,
  ]);
  refused(t, { rewrite: {} }, /changes nothing/);
  refused(
    t,
    { rewrite: { path: '/x', stripPrefix: '/y' } },
    /path: is the whole path: it cannot stand beside/,
  );
  refused(t, { rewrite: { stripPrefix: '/' } }, /changes nothing: every path begins with/);
  refused(t, { rewrite: { addPrefix: 'v2' } }, /starts with \//);
  refused(t, { rewrite: { path: '/x?y' } }, /query/);
  refused(t, { maintenance: 'yes' }, /maintenance: has to be true, false, or/);
  refused(t, { maintenance: { until: 'tomorrow' } }, /until: is not a time such as/);
  refused(t, { hsts: { maxAge: 600, preload: true } }, /hsts\/preload: needs includeSubDomains and a maxAge/);
  refused(t, { hsts: { includeSubDomains: true } }, /hsts\/maxAge: is missing/);
  refused(t, { pages: { 500: 'x' } }, /500/);
  refused(t, { pages: { 404: '' } }, /pages\/404: is empty; leave it out/);
});

t.test(
  'a redirect to itself, a prefix that no path has and a name that a host cannot have are refused',
  async (t) => {
    const loop = /leads to the address that was asked for; name another host/;
    for (const redirect of [
      { to: 'https://{host}{path}' },
      { to: '{scheme}://{host}/', keepPath: true },
      { to: 'https://Shop.example.com', keepPath: true },
      { to: '/{path}' },
    ])
      t.match(faults({ ...host, redirect }), [loop], redirect.to);
    t.match(faults({ ...host, paths: ['=/a'], redirect: { to: '/a' } }), [loop]);
    t.match(faults({ hosts: ['*.example.com'], redirect: { to: 'https://a.example.com{path}' } }), [loop]);
    for (const [to, more] of [
      ['/new', {}],
      ['/', {}],
      ['https://shop.example.com:8443{path}', {}],
      ['https://{host}{path}', { match: { query: [{ name: 'old', present: true }] } }],
    ] as const)
      t.same(faults({ ...host, redirect: { to }, ...more }), [], to);
    t.same(faults({ ...host, paths: ['/old'], redirect: { to: '/new', keepPath: true } }), []);

    refused(
      t,
      { paths: ['/shop'], rewrite: { stripPrefix: '/api' } },
      /no path of this route begins with \/api/,
    );
    t.same(faults({ ...served, paths: ['/api/v1', '=/x'], rewrite: { stripPrefix: '/api' } }), []);

    const also = (alsoServe: string, ...hosts: string[]) => faults({ ...served, hosts, alsoServe });
    t.same(also('www', 'example.com', 'shop.example.com'), []);
    t.same(also('apex', 'www.example.com'), []);
    t.match(also('www', '*.example.com'), [
      /alsoServe: "\*\.example\.com" is a wildcard, which has no other name/,
    ]);
    t.match(also('www', '192.0.2.7'), [
      /alsoServe: "192\.0\.2\.7" is an IP address, which has no other name/,
    ]);
    t.match(also('www', 'www.example.com'), [/"www\.example\.com" begins with www\. already; say apex/]);
    t.match(also('apex', 'example.com'), [/"example\.com" has no www\. before it; say www/]);
    t.match(also('www', 'example.com', 'www.example.com').join(), /is a host of this route already/);
    t.match(also('all', 'example.com'), [/has to be one of www, apex/]);
  },
);

t.test('defaults of routes take optional fields, checked as a route’s are', async (t) => {
  const settings = (defaults: object) => PutSettings.safeParse({ edge: { defaults } });
  t.ok(settings({ headers: { response: { remove: ['Server'] } }, timeouts: { firstByteMs: 1_000 } }).success);
  const said = settings({ headers: { response: { set: { Connection: 'x' } } } }).error?.issues[0];
  t.same(said?.path.slice(0, 4), ['edge', 'defaults', 'headers', 'response']);
  for (const own of ['hosts', 'paths', 'methods', 'upstreams', 'redirect', 'response', 'issuers'])
    t.match(settings({ [own]: [] }).error?.issues[0], { code: 'unrecognized_keys', keys: [own] }, own);
});
