import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { brotliDecompressSync } from 'node:zlib';
import type { PutRoute } from '@lockstep/contract';
import { runOpenssl, testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { type AskOptions, askEdge, type EdgeAnswer, type Protocol } from './fleet/ask-edge.ts';
import { type Echo, page, startFieldUpstreams } from './fleet/field-upstreams.ts';
import { startFleet } from './fleet/start-fleet.ts';

type Field = Exclude<keyof PutRoute, 'id'>;
type Ask = (options?: Partial<AskOptions>) => Promise<EdgeAnswer>;

interface FieldCase {
  route: Partial<PutRoute>;
  /** `at` is another one for each edge and protocol. */
  check(t: Test, ask: Ask, host: string, at: string): Promise<void>;
}

const dir = testFolder(t);
const upstreams = await startFieldUpstreams(t, dir);
const fleet = await startFleet(t, { dir });
const { call, edges } = fleet;
const root = await fleet.internalRoot();
const protocols: Protocol[] = ['HTTP/1.1', 'HTTP/2'];

const [client, stranger] = [await makeClientCertificate('client'), await makeClientCertificate('stranger')];

const one = [{ url: upstreams.one }];
const echoOf = ({ text }: EdgeAnswer): Echo => JSON.parse(text);
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
/** Of `open sesame`. */
const passwordHash = '$2y$10$SF5F9NKeYPNfSbZpTIy3Kur7ycSjV54lRBxePUCGMh7ckEPQ2D866';

/** Of each field at least one thing that is otherwise without it. */
const cases = {
  hosts: {
    route: { hosts: ['hosts.fields.test', '*.hosts.fields.test'], upstreams: one },
    async check(t, ask) {
      for (const host of ['hosts.fields.test', 'any.hosts.fields.test'])
        t.equal(echoOf(await ask({ host })).headers['x-forwarded-host'], host);
    },
  },
  alsoServe: {
    route: { alsoServe: 'www', upstreams: one },
    async check(t, ask, host) {
      t.equal((await ask()).status, 200);
      const { status, headers } = await ask({ host: `www.${host}`, path: '/cart?x=1' });
      t.strictSame([status, headers.location], [308, `https://${host}/cart?x=1`]);
    },
  },
  paths: {
    route: { paths: ['/api', '=/exact'], upstreams: one },
    async check(t, ask) {
      const status = async (path: string) => (await ask({ path })).status;
      t.strictSame(await Promise.all(['/api', '/api/x?y', '/exact'].map(status)), [200, 200, 200]);
      t.strictSame(await Promise.all(['/', '/apis', '/exact/x'].map(status)), [404, 404, 404]);
    },
  },
  methods: {
    route: { methods: ['GET'], upstreams: one },
    async check(t, ask) {
      t.equal((await ask()).status, 200);
      t.match(await ask({ method: 'DELETE' }), { status: 405, headers: { allow: 'GET, HEAD' } });
    },
  },
  match: {
    route: {
      match: { headers: [{ name: 'X-Beta', equals: 'yes' }], query: [{ name: 'v', present: true }] },
      upstreams: one,
    },
    async check(t, ask) {
      t.equal((await ask({ path: '/?v=1', headers: { 'x-beta': 'yes' } })).status, 200);
      t.equal((await ask({ path: '/?v=1' })).status, 404);
      t.equal((await ask({ headers: { 'x-beta': 'yes' } })).status, 404);
    },
  },
  upstreams: {
    route: {
      upstreams: [
        { url: upstreams.two, host: 'upstream' },
        {
          url: upstreams.secure,
          host: 'own.example.net',
          tls: { ca: upstreams.rootPem, serverName: 'app.internal' },
        },
        { url: upstreams.socket },
        { url: upstreams.proxied, proxyProtocol: 1 },
        { url: upstreams.h2c, protocol: 'h2c' },
        { url: upstreams.dead },
      ],
    },
    async check(t, ask, host) {
      const seen = new Map<string, Echo>();
      for (let i = 0; i < 12; i += 1) {
        const echo = echoOf(await ask());
        seen.set(echo.upstream, echo);
      }
      t.match(seen.get('h2c')?.headers, { ':authority': host });
      const hostAt = (name: string) => seen.get(name)?.headers.host;
      t.equal(hostAt('two'), new URL(upstreams.two).host);
      t.equal(hostAt('tls'), 'own.example.net');
      t.equal(hostAt('socket'), host);
      t.match(seen.get('proxied'), {
        headers: { host },
        proxied: /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+$/,
      });
    },
  },
  balance: {
    route: {
      balance: { policy: 'round_robin', sticky: { cookie: 'lb' } },
      upstreams: [
        { url: upstreams.one, weight: 3 },
        { url: upstreams.two, weight: 1 },
        { url: upstreams.dead, backup: true },
      ],
    },
    async check(t, ask) {
      const names: string[] = [];
      for (let i = 0; i < 8; i += 1) names.push(echoOf(await ask()).upstream);
      t.equal(names.filter((name) => name === 'one').length, 6, names.join(' '));
      const first = await ask();
      const [cookie = ''] = first.headers['set-cookie'] ?? [];
      t.match(cookie, /^lb=/);
      for (let i = 0; i < 5; i += 1) {
        const again = await ask({ headers: { cookie: cookie.split(';')[0]! } });
        t.equal(echoOf(again).upstream, echoOf(first).upstream);
      }
    },
  },
  health: {
    route: {
      health: { active: { path: '/only/one', intervalMs: 100, unhealthyAfter: 1 } } as PutRoute['health'],
      upstreams: [{ url: upstreams.one }, { url: upstreams.two }],
    },
    async check(t, ask) {
      const six = async () => {
        const answers = await Promise.all(Array.from({ length: 6 }, () => ask()));
        return new Set(answers.map((answer) => echoOf(answer).upstream));
      };
      await waitFor(async () => (await six()).size === 1, { what: 'the other upstream to get no requests' });
      t.same([...(await six())], ['one']);
    },
  },
  retries: {
    route: {
      retries: { attempts: 1, on: ['5xx'] },
      upstreams: [{ url: upstreams.one }, { url: upstreams.two }],
    },
    async check(t, ask) {
      for (let i = 0; i < 2; i += 1) t.equal(echoOf(await ask({ path: '/only/one' })).upstream, 'one');
    },
  },
  timeouts: {
    route: { timeouts: { firstByteMs: 300 }, upstreams: one },
    async check(t, ask) {
      t.match(await ask({ path: '/slow' }), { status: 504, text: /upstream_timeout/ });
    },
  },
  limits: {
    route: { limits: { bodyBytes: 10 }, upstreams: one },
    async check(t, ask) {
      t.equal((await ask({ method: 'POST', body: '0123456789' })).status, 200);
      t.match(await ask({ method: 'POST', body: '0123456789a' }), { status: 413, text: /payload_too_large/ });
    },
  },
  redirect: {
    route: { redirect: { to: 'https://new.example.com/shop', status: 308, keepPath: true, keepQuery: true } },
    async check(t, ask) {
      const { status, headers } = await ask({ path: '/shoes?size=9' });
      t.strictSame([status, headers.location], [308, 'https://new.example.com/shop/shoes?size=9']);
    },
  },
  response: {
    route: { response: { status: 418, headers: { 'X-Pot': '{host}' }, body: 'short and stout' } },
    async check(t, ask, host) {
      t.match(await ask(), { status: 418, headers: { 'x-pot': host }, text: 'short and stout' });
    },
  },
  rewrite: {
    route: { rewrite: { stripPrefix: '/api', addPrefix: '/v2' }, upstreams: one },
    async check(t, ask) {
      t.match(echoOf(await ask({ path: '/api/cart?x=1' })), {
        url: '/v2/cart?x=1',
        headers: { 'x-forwarded-prefix': '/api' },
      });
    },
  },
  maintenance: {
    route: { maintenance: { retryAfterSeconds: 600 }, upstreams: one },
    async check(t, ask) {
      t.match(await ask(), { status: 503, headers: { 'retry-after': '600' } });
    },
  },
  plainHttp: {
    route: { plainHttp: 'serve', upstreams: one },
    async check(t, ask, host) {
      t.equal((await ask()).status, 200);
      for (const { http: port } of edges) {
        const [answer] = await once(
          get({ host: '127.0.0.1', port, headers: { host }, agent: false }),
          'response',
        );
        t.match(JSON.parse(await text(answer)), { headers: { 'x-forwarded-proto': 'http' } });
      }
    },
  },
  hsts: {
    route: { hsts: { maxAge: 31_536_000, includeSubDomains: true }, upstreams: one },
    async check(t, ask) {
      const { headers } = await ask();
      t.equal(headers['strict-transport-security'], 'max-age=31536000; includeSubDomains');
    },
  },
  pages: {
    route: { pages: { 502: '<h1>Sorry, {host}</h1>' }, upstreams: [{ url: upstreams.dead }] },
    async check(t, ask, host) {
      const html = await ask({ headers: { accept: 'text/html' } });
      t.match(html, { status: 502, text: `<h1>Sorry, ${host}</h1>` });
      t.match(await ask({ headers: { accept: 'application/json' } }), {
        status: 502,
        text: /upstream_unreachable/,
      });
    },
  },
  headers: {
    route: {
      headers: {
        request: { set: { 'X-Client': '{client_address}' }, remove: ['X-Debug'] },
        response: { set: { 'X-Route': '{route}' }, remove: ['Server'] },
      },
      upstreams: one,
    },
    async check(t, ask) {
      const answer = await ask({ headers: { 'x-debug': '1', 'x-client': 'forged' } });
      const { headers } = echoOf(answer);
      t.strictSame([headers['x-client'], headers['x-debug']], ['127.0.0.1', undefined]);
      t.strictSame([answer.headers['x-route'], answer.headers.server], ['headers', undefined]);
    },
  },
  access: {
    route: { access: { allow: ['127.0.0.0/8'], deny: ['127.0.0.9'] }, upstreams: one },
    async check(t, ask) {
      t.equal((await ask()).status, 200);
      t.match(await ask({ localAddress: '127.0.0.9' }), { status: 403, text: /access_denied/ });
    },
  },
  rateLimit: {
    route: { rateLimit: { requests: 2, perMs: 3_600_000, by: { header: 'X-Key' } }, upstreams: one },
    async check(t, ask, _host, at) {
      const headers = { 'x-key': at };
      t.strictSame([(await ask({ headers })).status, (await ask({ headers })).status], [200, 200]);
      t.match(await ask({ headers }), { status: 429, headers: { 'retry-after': /^\d+$/ } });
    },
  },
  basicAuth: {
    route: { basicAuth: { realm: 'Fields', users: [{ name: 'ann', passwordHash }] }, upstreams: one },
    async check(t, ask) {
      t.match(await ask(), { status: 401, headers: { 'www-authenticate': /^Basic realm="Fields"/ } });
      t.equal((await ask({ headers: { authorization: basic('ann:guess') } })).status, 401);
      t.equal((await ask({ headers: { authorization: basic('ann:open sesame') } })).status, 200);
    },
  },
  clientCertificates: {
    route: { clientCertificates: { ca: client.cert, mode: 'request' }, upstreams: one },
    async check(t, ask) {
      t.equal(echoOf(await ask()).headers['client-cert'], undefined);
      const [, der = ''] = client.cert.split(/-----[A-Z ]+-----/);
      t.equal(echoOf(await ask(client)).headers['client-cert'], `:${der.replaceAll('\n', '')}:`);
      t.match(await ask(stranger), { status: 403, text: /client_certificate_refused/ });
    },
  },
  compression: {
    route: { compression: true, upstreams: one },
    async check(t, ask) {
      const { headers, body } = await ask({ path: '/page', headers: { 'accept-encoding': 'br' } });
      t.match(headers, { 'content-encoding': 'br', etag: 'W/"v1"', vary: 'accept-encoding' });
      t.equal(brotliDecompressSync(body).toString(), page);
    },
  },
  issuers: {
    route: { issuers: ['internal'], upstreams: one },
    async check(t, ask) {
      t.equal((await ask()).status, 200);
      t.match((await call('GET', '/v1/certificates/issuers.fields.test')).body, { issuer: 'internal' });
    },
  },
  challenge: {
    route: { challenge: 'tls-alpn-01', upstreams: one },
    async check(t, ask) {
      t.equal((await ask()).status, 200);
    },
  },
  dns: {
    route: { dns: { proxiedBy: 'cdn' }, upstreams: one },
    async check(t, ask) {
      t.equal((await ask()).status, 200);
    },
  },
  tenant: {
    route: { tenant: 'harbour-cafe', upstreams: one },
    async check(t, ask) {
      t.equal((await ask()).status, 200);
    },
  },
  metadata: {
    route: { metadata: { plan: 'pro' }, upstreams: one },
    async check(t, ask) {
      t.equal((await ask()).status, 200);
    },
  },
} satisfies Record<Field, FieldCase>;

const fields = Object.entries<FieldCase>(cases);
const hostOf = (field: string) => `${field.toLowerCase()}.fields.test`;
const made = await Promise.all(
  fields.map(([field, { route }]) =>
    call('PUT', `/v1/routes/${field}`, { hosts: [hostOf(field)], ...route }, { prefer: 'wait=120' }),
  ),
);

for (const [index, [field, { route, check }]] of fields.entries()) {
  t.test(`${field} holds at each edge, over HTTP/1.1 and HTTP/2, and is shown as it was given`, async (t) => {
    const { status, body } = made[index]!;
    t.match({ status, state: body.status?.state }, { status: 201, state: 'live' }, JSON.stringify(body));
    t.match(JSON.parse(shown(body)), JSON.parse(shown(route)));
    t.notMatch(shown(body), '$2y$');
    for (const edge of edges) {
      for (const protocol of protocols) {
        await t.test(`${edge.node}, ${protocol}`, (t) => {
          const ask: Ask = (options = {}) =>
            askEdge(edge, protocol, root, { host: hostOf(field), ...options });
          return check(t, ask, hostOf(field), `${edge.node} ${protocol}`);
        });
      }
    }
  });
}

t.test('one route has everything at once', async (t) => {
  const host = 'everything.fields.test';
  const compression = { types: ['application/json'], minBytes: 1 };
  const rateLimit = { requests: 3, perMs: 3_600_000, by: { header: 'X-Key' } } as const;
  const { redirect: _, response: _response, maintenance: _maintenance, ...rest } = cases;
  const all = Object.assign({}, ...Object.values(rest).map(({ route }) => route));
  const own = {
    hosts: [host],
    paths: ['/api'],
    methods: ['POST'],
    rateLimit,
    compression,
    balance: { policy: 'least_requests', sticky: { cookie: 'lb' } },
    health: { active: { path: '/', intervalMs: 500 }, passive: {}, slowStartMs: 1_000 },
    maintenance: false,
    clientCertificates: { ca: client.cert, mode: 'require' },
    plainHttp: 'redirect',
  };
  const route = { ...all, ...own, upstreams: cases.upstreams.route.upstreams };
  const { status, body } = await call('PUT', '/v1/routes/everything', route, { prefer: 'wait=120' });
  t.match({ status, state: body.status?.state }, { status: 201, state: 'live' }, JSON.stringify(body));
  for (const edge of edges) {
    for (const protocol of protocols) {
      const right = { authorization: basic('ann:open sesame'), 'x-beta': 'yes', 'accept-encoding': 'br' };
      const ask = (key: string, options: Partial<AskOptions> = {}, without?: keyof typeof right) => {
        const { [without ?? '']: __, ...headers } = {
          ...right,
          'x-key': `${edge.node} ${protocol} ${key}`,
        } as Record<string, string>;
        const request = {
          host,
          path: '/api/cart?v=1',
          method: 'POST',
          body: 'ten bytes!',
          headers,
          ...client,
        };
        return askEdge(edge, protocol, root, { ...request, ...options });
      };
      const what = `${edge.node}, ${protocol}`;
      await t.rejects(ask('certificate', { cert: '', key: '' }), `${what}: without a certificate`);
      t.equal((await ask('www', { host: `www.${host}` })).status, 308, what);
      const answers = [await ask('right'), await ask('right'), await ask('right')];
      for (const { status, headers, body } of answers) {
        t.match(
          { status, headers },
          {
            status: 200,
            headers: {
              'content-encoding': 'br',
              'x-route': 'everything',
              'strict-transport-security': /^max-age/,
            },
          },
          what,
        );
        t.notOk('server' in headers, what);
        t.match(JSON.parse(brotliDecompressSync(body).toString()), {
          method: 'POST',
          url: '/v2/cart?v=1',
          body: 'ten bytes!',
          headers: { 'x-client': '127.0.0.1', 'x-beta': 'yes', 'x-forwarded-host': host },
        });
      }
      const refused: [number, Promise<EdgeAnswer>][] = [
        [429, ask('right')],
        [404, ask('path', { path: '/other?v=1' })],
        [405, ask('method', { method: 'GET', body: '' })],
        [404, ask('match', {}, 'x-beta')],
        [404, ask('query', { path: '/api/cart' })],
        [413, ask('body', { body: 'eleven bytes' })],
        [403, ask('address', { localAddress: '127.0.0.9' })],
        [401, ask('password', {}, 'authorization')],
        [504, ask('timeout', { path: '/api/slow?v=1' })],
      ];
      for (const [status, answer] of refused) t.equal((await answer).status, status, `${what}: ${status}`);
    }
  }
});

t.test('rules go by the client that a trusted proxy names', async (t) => {
  const settle = async (trustedProxies: string[]) => {
    t.equal((await call('PATCH', '/v1/settings', { edge: { trustedProxies } })).status, 200);
    // Edges take commits in order: what is live now has the settings before it.
    const route = { hosts: ['proxied.fields.test'], upstreams: one, access: { allow: ['203.0.113.0/24'] } };
    const paths = [`/${trustedProxies.length}`];
    const { body } = await call('PUT', '/v1/routes/proxied', { ...route, paths }, { prefer: 'wait=120' });
    t.equal(body.status?.state, 'live', JSON.stringify(body));
    return paths[0]!;
  };
  const status = async (path: string, client: string) => {
    const headers = { 'x-forwarded-for': client };
    const asked = edges.flatMap((edge) =>
      protocols.map((protocol) =>
        askEdge(edge, protocol, root, { host: 'proxied.fields.test', path, headers }),
      ),
    );
    return [...new Set((await Promise.all(asked)).map((answer) => answer.status))];
  };
  const trusted = await settle(['127.0.0.1']);
  t.same(await status(trusted, '203.0.113.7'), [200]);
  t.same(await status(trusted, '192.0.2.7'), [403]);
  const untrusted = await settle([]);
  t.same(await status(untrusted, '203.0.113.7'), [403], 'what a client says of itself counts for nothing');
});

/** One that is its own authority. */
async function makeClientCertificate(name: string): Promise<{ cert: string; key: string }> {
  const paths = ['-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '2', '-subj', `/CN=${name}`];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await runOpenssl(dir, 'req', '-x509', ...curve, ...paths, '-addext', 'extendedKeyUsage=clientAuth');
  const read = (file: string) => readFile(join(dir, file), 'utf8');
  return { cert: await read(`${name}.pem`), key: await read(`${name}.key`) };
}

/** Hashes are not shown. */
function shown(route: object): string {
  return JSON.stringify(route, (name, value) => (name === 'passwordHash' ? undefined : value));
}
