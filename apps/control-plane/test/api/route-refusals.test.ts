import { PutRoute, PutSettings } from '@lockstep/contract/schemas';
import { createAuthority } from '@lockstep/pki';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import type { z } from 'zod';
import { startControlPlane } from '../start-control-plane.ts';

const authority = await createAuthority();

const url = 'http://10.0.0.7:3000';
const shop = { hosts: ['shop.example.com'], upstreams: [{ url }] };
const to = (one: object) => ({ upstreams: [one] });
const redirect = (one: object) => ({ upstreams: undefined, redirect: one });
const users = (one: object) => ({ basicAuth: { realm: 'R', users: [one] } });
const limit = (by: unknown) => ({ rateLimit: { requests: 1, perMs: 1_000, by } });

type Field = Exclude<keyof PutRoute, 'id'>;
/** A body beside that of `shop`, what is pointed at, and what is said of it. */
type Row = [body: object, pointer: string, detail: string | RegExp];

const noSuch = 'there is no such field';
const badPath = 'a path starts with / (or with =/, for this path alone) and has no spaces, query or fragment';
const badRange = 'is neither an IP address nor a range such as 203.0.113.0/24 or 2001:db8::/48';
const notPlaceholder = /^has \{user\}, which stands for nothing; there are .*\{client_address\}/;

const refusals: Record<Field, Row[]> = {
  hosts: [
    [{ hosts: undefined }, '/hosts', 'is missing'],
    [{ hosts: [] }, '/hosts', 'a route needs at least one host'],
    [
      { hosts: ['192.0.2'] },
      '/hosts/0',
      'host "192.0.2" is an IP address; write an address as 203.0.113.9 or [2001:db8::9]',
    ],
    [{ hosts: ['0.0.0.0'] }, '/hosts/0', 'host "0.0.0.0" is no address that clients connect to'],
    [
      { hosts: ['192.0.2.7'], challenge: 'dns-01' },
      '/challenge',
      '"192.0.2.7" is an IP address, which dns-01 cannot prove',
    ],
    [
      { hosts: ['*'] },
      '/hosts/0',
      'host "*" may have `*` only as the whole first label, as in *.example.com',
    ],
    [{ hosts: ['a..b'] }, '/hosts/0', 'host "a..b" has an empty label'],
    [{ hosts: ['shop.example.com', '*.com'] }, '/hosts/1', /"\*\.com"/],
  ],
  paths: [
    [{ paths: [] }, '/paths', 'leave paths out, or name at least one'],
    [{ paths: ['api'] }, '/paths/0', badPath],
    [{ paths: ['/', '/a?b'] }, '/paths/1', badPath],
    [{ paths: ['/%zz'] }, '/paths/0', 'the path has a percent sign without two hexadecimal digits'],
    [{ paths: ['=/%zz'] }, '/paths/0', 'the path has a percent sign without two hexadecimal digits'],
  ],
  methods: [
    [{ methods: [] }, '/methods', 'leave methods out, or name at least one'],
    [
      { methods: ['get'] },
      '/methods/0',
      '"get" is no method that edges forward; methods are written in upper case, as GET and POST',
    ],
  ],
  match: [
    [{ match: {} }, '/match', 'asks for nothing; leave match out, or name headers or query'],
    [{ match: { headers: [{ name: 'X-Beta' }] } }, '/match/headers/0', 'needs one of equals and present'],
    [
      { match: { headers: [{ name: 'X Beta', present: true }] } },
      '/match/headers/0/name',
      'is not the name of a header field',
    ],
    [
      { match: { headers: [{ name: 'X-Beta', equals: 'für alle' }] } },
      '/match/headers/0/equals',
      'has to be of visible ASCII characters, with spaces between them alone',
    ],
    [
      { match: { headers: [{ name: 'Client-Cert', present: true }] } },
      '/match/headers/0/name',
      /^"Client-Cert" can never match: /,
    ],
  ],
  upstreams: [
    [{ upstreams: undefined }, '/upstreams', /^is missing: a route leads to one of upstreams, redirect/],
    [{ upstreams: [] }, '/upstreams', 'a route needs at least one upstream'],
    [to({ url: 'ftp://h' }), '/upstreams/0/url', /^an upstream begins with http:\/\/ or https:\/\//],
    [
      to({ url: 'http://h/path' }),
      '/upstreams/0/url',
      'an upstream is a scheme, a host and an optional port; it has no path, query or fragment',
    ],
    [to({ url: 'unix:app.sock' }), '/upstreams/0/url', /^a socket is named by its absolute path/],
    [
      to({ url: 'http://169.254.169.254' }),
      '/upstreams/0/url',
      /"169\.254\.169\.254" is an address where nothing may lead/,
    ],
    [to({ url, tls: { verify: false } }), '/upstreams/0/tls', /^is about TLS.*leave it out, or change url$/],
    [
      to({ url: 'https://h', tls: { serverName: '*.h.example' } }),
      '/upstreams/0/tls/serverName',
      'is a name for many; one is asked for',
    ],
    [to({ url: 'https://h', tls: { ca: 'x' } }), '/upstreams/0/tls/ca', /^holds no PEM certificate/],
    [
      to({ url: 'https://h', tls: { clientCertificate: 'none' } }),
      '/upstreams/0/tls/clientCertificate',
      /"none"/,
    ],
    [to({ url, proxyProtocol: 3 }), '/upstreams/0/proxyProtocol', 'has to be 1 or 2'],
    [to({ url, host: 'a b' }), '/upstreams/0/host', /^is "keep", "upstream" or a name/],
    [
      to({ url, weight: 0 }),
      '/upstreams',
      /^has none that takes requests: one of them needs a weight above 0/,
    ],
    [to({ url, colour: 'red' }), '/upstreams/0/colour', noSuch],
    [to({ url, Weights: 2 }), '/upstreams/0/Weights', `${noSuch}; one is called "weight"`],
    [{ upstream: [] }, '/upstream', `${noSuch}; one is called "upstreams"`],
    [{ rate_limit: {} }, '/rate_limit', `${noSuch}; one is called "rateLimit"`],
  ],
  alsoServe: [
    [{ alsoServe: 'web' }, '/alsoServe', 'has to be one of www, apex'],
    [
      { alsoServe: 'www', hosts: ['*.example.com'] },
      '/alsoServe',
      '"*.example.com" is a wildcard, which has no other name; give it a route of its own',
    ],
    [
      { alsoServe: 'apex', hosts: ['example.com'] },
      '/alsoServe',
      '"example.com" has no www. before it; say www, or give it a route of its own',
    ],
    [
      { alsoServe: 'www', hosts: ['example.com', 'www.example.com'] },
      '/alsoServe',
      /^"www\.example\.com" is a host of this route already; leave it out of hosts/,
    ],
  ],
  balance: [
    [
      { balance: { policy: 'random' } },
      '/balance/policy',
      'has to be one of round_robin, least_requests, random_two, hash, first',
    ],
    [
      { balance: { policy: 'hash' } },
      '/balance/hash',
      'is missing: the policy "hash" needs to know by what, as in {"by": "client_address"}',
    ],
    [
      { balance: { hash: { by: 'cookie', name: 'id' } } },
      '/balance/hash',
      'belongs to the policy "hash", not to "round_robin"; leave it out, or set policy',
    ],
    [
      { balance: { policy: 'hash', hash: { by: 'header' } } },
      '/balance/hash/name',
      'is missing: which header is meant',
    ],
    [{ balance: { sticky: { cookie: 'a b' } } }, '/balance/sticky/cookie', 'is no name of a cookie'],
  ],
  health: [
    [
      { health: {} },
      '/health/active',
      'is missing: health goes by active checks, by passive ones, or by both',
    ],
    [{ health: { active: { path: 'x' } } }, '/health/active/path', 'starts with / and has no spaces'],
    [
      { health: { active: { method: 'HEAD', expectBody: 'ok' } } },
      '/health/active/expectBody',
      'can never be met: an answer to HEAD has no body; set method to GET',
    ],
    [
      { health: { active: { expectStatus: 'ok' } } },
      '/health/active/expectStatus',
      /^has to be a status such as 200, a class such as "2xx", a range such as "200-399"/,
    ],
  ],
  retries: [
    [{ retries: { attempts: 0 } }, '/retries/attempts', 'has to be at least 1'],
    [{ retries: { attempts: 1, on: ['4xx'] } }, '/retries/on/0', 'has to be one of connect, reset, 5xx'],
  ],
  response: [
    [{ response: { status: 200 } }, '/response', /^cannot stand beside upstreams: .*leave one out$/],
    [{ upstreams: undefined, response: { status: 100 } }, '/response/status', 'has to be at least 200'],
    [
      { upstreams: undefined, response: { status: 204, body: 'x' } },
      '/response/body',
      'cannot stand beside the status 204, which has no content; leave it out',
    ],
    [
      { upstreams: undefined, response: { status: 200, body: 'ü'.repeat(32_769) } },
      '/response/body',
      'has more than 65536 bytes as UTF-8',
    ],
  ],
  rewrite: [
    [
      { rewrite: {} },
      '/rewrite',
      'changes nothing; leave rewrite out, or name stripPrefix, addPrefix or path',
    ],
    [
      { rewrite: { path: '/x', addPrefix: '/y' } },
      '/rewrite/path',
      'is the whole path: it cannot stand beside stripPrefix and addPrefix',
    ],
    [
      { rewrite: { stripPrefix: '/' } },
      '/rewrite/stripPrefix',
      'changes nothing: every path begins with /; leave it out',
    ],
    [{ rewrite: { addPrefix: '/%zz' } }, '/rewrite/addPrefix', /percent sign/],
  ],
  maintenance: [
    [{ maintenance: 'yes' }, '/maintenance', /^has to be true, false, or \{"until": "2026-12-01T06:00:00Z"/],
    [
      { maintenance: { until: 'tomorrow' } },
      '/maintenance/until',
      'is not a time such as 2026-12-01T06:00:00Z',
    ],
  ],
  plainHttp: [
    [{ plainHttp: 'allow' }, '/plainHttp', 'has to be one of redirect, serve, refuse'],
    [
      { plainHttp: 'serve', clientCertificates: { ca: authority.certificate } },
      '/plainHttp',
      /^cannot be serve beside clientCertificates that are required: /,
    ],
  ],
  hsts: [
    [
      { hsts: { maxAge: 60, preload: true } },
      '/hsts/preload',
      'needs includeSubDomains and a maxAge of 31536000 at least: no list takes the host without',
    ],
  ],
  pages: [
    [{ pages: { 500: 'x' } }, '/pages/500', noSuch],
    [{ pages: { 404: '' } }, '/pages/404', 'is empty; leave it out'],
  ],
  timeouts: [
    [{ timeouts: { connectMs: 0 } }, '/timeouts/connectMs', 'has to be at least 1'],
    [{ timeouts: { totalMs: 1e9 } }, '/timeouts/totalMs', 'has to be at most 86400000'],
    [{ timeouts: { readMs: 5 } }, '/timeouts/readMs', noSuch],
  ],
  limits: [[{ limits: { connections: 0 } }, '/limits/connections', 'has to be at least 1']],
  redirect: [
    [{ redirect: { to: '/x' } }, '/redirect', /^cannot stand beside upstreams: .*leave one out$/],
    [redirect({}), '/redirect/to', 'is missing'],
    [
      redirect({ to: '//evil.example' }),
      '/redirect/to',
      'has to be an http or https address, or a path that begins with one /',
    ],
    [redirect({ to: '/x', status: 200 }), '/redirect/status', 'has to be one of 301, 302, 303, 307, 308'],
    [redirect({ to: '/x?y', keepPath: true }), '/redirect/to', /leave keepPath out, or them$/],
    [redirect({ to: '/{user}' }), '/redirect/to', notPlaceholder],
  ],
  headers: [
    [
      { headers: { request: { set: { 'Content-Length': '1' } } } },
      '/headers/request/set/Content-Length',
      /^"Content-Length" cannot be changed: .*leave it out$/,
    ],
    [
      { headers: { response: { set: { 'X A': '1' } } } },
      '/headers/response/set/X A',
      'is not the name of a header field',
    ],
    [
      { headers: { response: { set: { 'X-A': 'a\r\nb' } } } },
      '/headers/response/set/X-A',
      'has to be of visible ASCII characters, with spaces between them alone',
    ],
    [{ headers: { response: { set: { 'X-A': '{user}' } } } }, '/headers/response/set/X-A', notPlaceholder],
    [
      { headers: { response: { add: { 'X-A': 5 } } } },
      '/headers/response/add/X-A',
      'has to be a text or a list',
    ],
  ],
  clientCertificates: [
    [{ clientCertificates: { ca: 'none' } }, '/clientCertificates/ca', /^holds no PEM certificate/],
    [{ clientCertificates: {} }, '/clientCertificates/ca', 'is missing'],
    [
      { clientCertificates: { ca: 'x', mode: 'maybe' } },
      '/clientCertificates/mode',
      'has to be one of require, request',
    ],
  ],
  access: [
    [{ access: { allow: ['here'] } }, '/access/allow/0', badRange],
    [
      { access: { allow: ['10.0.0.5/8'] } },
      '/access/allow/0',
      'is a range, but begins within it: the range is 10.0.0.0/8, the address alone 10.0.0.5',
    ],
    [{ access: { deny: ['10.0.0.0/8', '10.0.0.0/33'] } }, '/access/deny/1', badRange],
    [{ access: { deny: [] } }, '/access/deny', 'leave it out, or name at least one range'],
  ],
  rateLimit: [
    [{ rateLimit: { requests: 1, by: 'route' } }, '/rateLimit/perMs', 'is missing'],
    [limit('user'), '/rateLimit/by', 'has to be client_address, route, or {"header": "X-Api-Key"}'],
    [limit({ header: 'X Key' }), '/rateLimit/by/header', 'is no name of a header, such as X-Api-Key'],
  ],
  basicAuth: [
    [users({ name: 'ann' }), '/basicAuth/users/0/passwordHash', /^is missing, and "ann" has none yet/],
    [
      users({ name: 'ann', passwordHash: 'open sesame' }),
      '/basicAuth/users/0/passwordHash',
      /^is neither a bcrypt hash.*htpasswd -nB NAME/,
    ],
  ],
  compression: [
    [
      { compression: 'gzip' },
      '/compression',
      /^has to be true.*or \{"types": \["text\/\*"\], "minBytes": 1024\}$/,
    ],
    [
      { compression: { types: ['html'] } },
      '/compression/types/0',
      'is no media type such as text/html, text/* or application/*+json',
    ],
  ],
  issuers: [
    [{ issuers: [] }, '/issuers', 'leave issuers out, or name at least one'],
    [{ issuers: ['nowhere'] }, '/issuers/0', /^there is no issuer "nowhere"; there are: internal/],
  ],
  challenge: [
    [{ challenge: 'dns-02' }, '/challenge', 'has to be one of http-01, tls-alpn-01, dns-01, dns-persist-01'],
  ],
  dns: [
    [{ dns: { proxiedBy: 'me' } }, '/dns/proxiedBy', 'has to be cdn'],
    [{ dns: { via: 'cdn' } }, '/dns/via', noSuch],
  ],
  tenant: [[{ tenant: 'a b' }, '/tenant', /^a tenant has 1 to 128 letters/]],
  metadata: [
    [{ metadata: [] }, '/metadata', 'has to be an object'],
    [{ metadata: { plan: 7 } }, '/metadata/plan', 'has to be a text'],
    [{ metadata: { plan: 'a'.repeat(501) } }, '/metadata/plan', 'a value has at most 500 characters'],
    [{ metadata: { ['k'.repeat(41)]: 'a' } }, `/metadata/${'k'.repeat(41)}`, /^a key has 1 to 40 letters/],
    [
      { metadata: Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`key${index}`, 'a'])) },
      '/metadata',
      'has more than 50 keys',
    ],
  ],
};

t.test('what a route cannot be is refused by the name of its field, and the way out', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  for (const [field, rows] of Object.entries(refusals)) {
    for (const [change, pointer, detail] of rows) {
      const { status, body } = await call('PUT', '/v1/routes/shop', { body: { ...shop, ...change } });
      const what = `${field}: ${JSON.stringify(change)}`;
      t.match({ status, code: body.code }, { status: 400, code: 'invalid_request' }, what);
      const told = body.errors?.find((one: { pointer: string }) => one.pointer === pointer);
      if (typeof detail === 'string') t.equal(told?.detail, detail, what);
      else t.match(told?.detail, detail, what);
      t.ok(body.detail.includes(told?.detail), 'the sentence of the whole has it too');
    }
  }
  t.equal(await store.count('route'), 0, 'and nothing is kept');
});

const settingsRefusals: Row[] = [
  [{ edge: { trustedProxies: ['x'] } }, '/edge/trustedProxies/0', /^is neither an IP address nor a range/],
  [
    { edge: { proxyProtocolFrom: ['x'] } },
    '/edge/proxyProtocolFrom/0',
    /^is neither an IP address nor a range/,
  ],
  [{ edge: { tls: { minVersion: '1.1' } } }, '/edge/tls/minVersion', 'is neither 1.2 nor 1.3'],
  [{ edge: { tls: { profile: 'old' } } }, '/edge/tls/profile', 'has to be one of modern, intermediate'],
  [{ edge: { pages: { 500: 'x' } } }, '/edge/pages/500', noSuch],
  [{ edge: { defaults: { hosts: ['shop.example.com'] } } }, '/edge/defaults/hosts', noSuch],
  [{ edge: { defaults: { access: { allow: ['x'] } } } }, '/edge/defaults/access/allow/0', badRange],
  [
    { edge: { accessLog: { to: 'here.log' } } },
    '/edge/accessLog/to',
    'is neither "stdout" nor an absolute path that ends in .log',
  ],
];

t.test('what the settings of edges cannot be is refused so too', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  for (const [body, pointer, detail] of settingsRefusals) {
    const answer = await call('PUT', '/v1/settings', { body });
    t.match(answer, { status: 400, body: { errors: [{ pointer, detail }] } }, JSON.stringify(body));
  }
  t.equal(await store.count('settings'), 0);
});

t.test('no refusal is in the words of a library', async (t) => {
  let refused = 0;
  for (const [name, schema] of Object.entries({ PutRoute, PutSettings })) {
    for (const path of placesOf(schema)) {
      for (const value of [17.5, -1, 'bad \u0001 value', '', { bad: 1 }, [], [5], true, 1e15]) {
        const { error } = schema.safeParse({ ...(name === 'PutRoute' ? shop : {}), ...at(path, value) });
        for (const { message, code } of error?.issues ?? []) {
          if (code === 'unrecognized_keys') continue;
          refused += 1;
          if (/^Invalid|, received |^Too |undefined|NaN|\[object/.test(message))
            t.fail(`${name} ${path.join('/')} ${JSON.stringify(value)}: ${message}`);
        }
      }
    }
  }
  t.ok(refused > 500, `${refused} were looked at`);
});

type Place = (string | number)[];

/** The way to each field of a schema. */
function* placesOf(schema: z.core.$ZodType, path: Place = []): Generator<Place> {
  if (path.length > 0) yield path;
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if ('innerType' in def) yield* placesOf(def.innerType, path);
  else if (def.type === 'pipe') yield* placesOf(def.in, path);
  else if (def.type === 'array') yield* placesOf(def.element, [...path, 0]);
  else if (def.type === 'record') yield* placesOf(def.valueType, [...path, 'X-Name']);
  else if (def.type === 'union') for (const option of def.options) yield* placesOf(option, path);
  else if (def.type === 'object')
    for (const [name, field] of Object.entries(def.shape)) yield* placesOf(field, [...path, name]);
}

function at([first, ...rest]: Place, value: unknown): object {
  const inner = rest.length === 0 ? value : at(rest, value);
  return typeof first === 'number' ? [inner] : { [first!]: inner };
}
