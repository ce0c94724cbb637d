import type { IncomingMessage } from 'node:http';
import type { RouteRecord } from '@lockstep/contract';
import { PutSettings, routeDefaults } from '@lockstep/contract/schemas';
import { freePort } from '@lockstep/testkit';
import t from 'tap';
import type { EdgeChange } from '../../configured-store.ts';
import { fetchPlain } from '../../fetch-plain.ts';
import { type FetchOptions, fetchThrough, fetchThroughH2 } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
let received: IncomingMessage | null = null;
const upstream = await startUpstream(t, (request, response) => {
  received = request;
  request.resume();
  const status = Number(/^\/status\/(\d+)/.exec(request.url!)?.[1] ?? 200);
  response.setHeader('strict-transport-security', 'max-age=1');
  response.writeHead(status, { 'X-Upstream': 'yes' }).end(`the upstream's ${status}`);
});
const edge = await startWorker(t);
const protocols = [fetchThrough, fetchThroughH2];

async function serve(more: Partial<RouteRecord>, to: string[] = [upstream.url]): Promise<void> {
  const own = more.redirect ?? more.response;
  const target = own === undefined ? {} : { upstreams: undefined };
  await edge.applied(await edge.serve('shop', [host], to, ['/'], { ...more, ...target }));
  t.same(edge.status().refusals, []);
}

const at = (path: string, more: Partial<FetchOptions> = {}): FetchOptions => ({
  port: edge.httpsPort,
  host,
  root: edge.root,
  path,
  ...more,
});

async function settings(change: EdgeChange): Promise<void> {
  await edge.applied(await edge.commit(edge.settingsChange(null, change)));
}

t.test(
  'a redirect keeps path and query where it says so, and never leads to another host by a path',
  async (t) => {
    const cases: [RouteRecord['redirect'], string, string][] = [
      [{ to: '/new', status: 302, keepPath: false, keepQuery: false }, '/old?a=1', '/new'],
      [{ to: '/', status: 302, keepPath: true, keepQuery: false }, '/evil.example.com', '/evil.example.com'],
      [
        { to: '/{path}', status: 302, keepPath: false, keepQuery: false },
        '/evil.example.com',
        '/evil.example.com',
      ],
      [{ to: '/a?b=1#c', status: 302, keepPath: false, keepQuery: true }, '/x?d=2', '/a?b=1&d=2#c'],
      [
        { to: 'https://{host}/in', status: 302, keepPath: true, keepQuery: true },
        '/x',
        `https://${host}/in/x`,
      ],
    ];
    const fixed = { status: 302, keepPath: false, keepQuery: false } as const;
    for (const [to, location] of [
      ['/{request_id}', '/%2Fevil.example.com'],
      ['https://{host}{request_id}', `https://${host}%2Fevil.example.com`],
    ]) {
      await serve({ redirect: { ...fixed, to: to! } });
      const { headers } = await fetchThrough(at('/', { headers: { 'x-request-id': '/evil.example.com' } }));
      t.equal(headers.location, location, 'nor by an id of its own');
    }
    for (const [redirect, asked, location] of cases) {
      await serve({ redirect });
      for (const fetch of protocols) t.equal((await fetch(at(asked))).headers.location, location, asked);
    }
    for (const status of [301, 302, 303, 307, 308] as const) {
      await serve({ redirect: { to: '/', status, keepPath: false, keepQuery: false } });
      for (const fetch of protocols) {
        const answer = await fetch(at('/', { method: 'POST', body: 'a body that nobody reads' }));
        t.match(answer, { status, body: '', headers: { 'content-length': '0' } });
      }
    }
  },
);

t.test(
  'the other name of a host leads to it, with path, query, port and what is said of answers',
  async (t) => {
    const other = `www.${host}`;
    const value = await edge.certificateRecord(other);
    await edge.commit({ op: 'put', kind: 'certificate', id: other, value });
    await serve({ alsoServe: 'www', hsts: { maxAge: 600 } });
    for (const fetch of protocols) {
      t.match(await fetch(at('/a%20b?c=d', { host: other, method: 'PUT', body: 'x' })), {
        status: 308,
        headers: {
          location: `https://${host}${fetch === fetchThroughH2 ? `:${edge.httpsPort}` : ''}/a%20b?c=d`,
        },
      });
      t.equal((await fetch(at('/'))).status, 200);
    }
    const ported = await fetchThrough(at('/', { host: other, headers: { host: `${other}:8443` } }));
    t.match(ported.headers, {
      location: `https://${host}:8443/`,
      'strict-transport-security': /^max-age=600$/,
    });
    await serve({});
    t.equal((await fetchThrough(at('/', { host: other, servername: host }))).status, 404);
  },
);

t.test('no placeholder carries a field or a line into another', async (t) => {
  await serve({
    headers: {
      request: { set: { 'X-All': '{client_address}|{host}|{path}|{scheme}|{route}|{request_id}' } },
      response: { add: { 'Set-Cookie': ['a=1', 'b={host}'] }, set: { 'X-Path': '{path}' } },
    },
  });
  const path = '/%0d%0aX-Evil:%201/%7Bhost%7D/{scheme}';
  for (const fetch of protocols) {
    const answer = await fetch(at(`${path}?{host}`, { headers: { 'x-request-id': 'id-1' } }));
    t.equal(
      received?.headers['x-all'],
      `127.0.0.1|${host}|/%0D%0AX-Evil:%201/%7Bhost%7D/{scheme}|https|shop|id-1`,
    );
    t.equal(received?.headers['x-evil'], undefined);
    t.equal(answer.headers['x-path'], '/%0D%0AX-Evil:%201/%7Bhost%7D/{scheme}');
    t.same(answer.headers['set-cookie'], ['a=1', `b=${host}`]);
    t.equal(answer.headers['x-upstream'], 'yes');
  }
});

t.test('a path is rewritten at borders of segments, and keeps its query', async (t) => {
  const cases: [RouteRecord['rewrite'], Record<string, string>][] = [
    [
      { stripPrefix: '/api' },
      {
        '/api': '/',
        '/api?a=/api': '/?a=/api',
        '/api/': '/',
        '/api/x/?q': '/x/?q',
        '/apis': '/apis',
        '/b/api': '/b/api',
      },
    ],
    [{ addPrefix: '/v2' }, { '/': '/v2/', '/x?y': '/v2/x?y' }],
    [{ path: '/index.html' }, { '/deep/er?x=1': '/index.html?x=1' }],
  ];
  for (const [rewrite, wanted] of cases) {
    await serve({ rewrite });
    for (const [asked, seen] of Object.entries(wanted)) {
      await fetchThrough(at(asked));
      t.equal(received?.url, seen, `${JSON.stringify(rewrite)} ${asked}`);
    }
  }
});

t.test('maintenance ends by itself, and false takes a route out of that of the defaults', async (t) => {
  const ended = new Date(Date.now() - 1_000).toISOString();
  const later = new Date(Date.now() + 3_600_000).toISOString();
  await serve({ maintenance: { until: ended } });
  t.equal((await fetchThrough(at('/'))).status, 200);
  await serve({ maintenance: { until: later } });
  const { status, headers, body } = await fetchThrough(at('/'));
  t.match([status, JSON.parse(body)], [503, { code: 'maintenance' }]);
  t.ok(Number(headers['retry-after']) > 3_500 && Number(headers['retry-after']) <= 3_600);
  await serve({});
  await settings({ defaults: { maintenance: true } });
  t.match(await fetchThrough(at('/')), { status: 503, headers: { 'retry-after': '300' } });
  await serve({ maintenance: false });
  t.equal((await fetchThrough(at('/'))).status, 200);
  await settings({});
});

t.test('hsts and headers are on every answer of a route, those of the edge too, and hsts once', async (t) => {
  const more = { hsts: { maxAge: 600 }, headers: { response: { set: { 'X-A': '{request_id}' } } } };
  const down = `http://127.0.0.1:${await freePort()}`;
  for (const fetch of protocols) {
    for (const [to, extra, status] of [
      [[upstream.url], {}, 200],
      [[down], {}, 502],
      [[upstream.url], { maintenance: true }, 503],
      [[], { redirect: { to: '/', status: 301, keepPath: false, keepQuery: false } }, 301],
      [[], { response: { status: 404, body: 'gone' } }, 404],
    ] as [string[], Partial<RouteRecord>, number][]) {
      await serve({ ...more, ...extra }, to);
      const answer = await fetch(at('/', { headers: { 'x-request-id': 'id-1' } }));
      t.equal(answer.status, status);
      t.match(
        answer.headers,
        { 'strict-transport-security': /^max-age=600$/, 'x-a': 'id-1' },
        String(status),
      );
    }
  }
});

t.test('pages stand in for what the edge says, not for what an upstream says', async (t) => {
  const down = `http://127.0.0.1:${await freePort()}`;
  await settings({ pages: { 404: 'no {path}', 502: '<b>{path}</b> {request_id} {colour}' } });
  await serve({ pages: { 404: 'own' } }, [down]);
  for (const fetch of protocols) {
    const headers = { 'x-request-id': 'id-1' };
    const answer = await fetch(at('/<script>?q', { headers }));
    t.match(answer, { status: 502, headers: { 'content-type': /^text\/html/, 'x-request-id': 'id-1' } });
    t.equal(answer.body, '<b>/&lt;script&gt;</b> id-1 {colour}');
    const json = await fetch(at('/', { headers: { accept: 'application/json' } }));
    t.match(json.headers, { 'content-type': 'application/problem+json' });
  }
  await serve({ pages: { 404: 'own' } });
  for (const fetch of protocols) t.equal((await fetch(at('/status/404'))).body, "the upstream's 404");
  await settings({});
});

t.test('a route’s own response needs no upstream', async (t) => {
  await serve({
    response: { status: 200, headers: { 'Content-Type': 'text/html', 'X-Tag': ['a', 'b'] }, body: 'ü' },
  });
  for (const fetch of protocols) {
    t.match(await fetch(at('/', { method: 'POST', body: 'x'.repeat(100_000) })), {
      status: 200,
      headers: { 'content-type': /^text\/html$/, 'x-tag': 'a, b', 'content-length': '2' },
      body: 'ü',
    });
    t.match(await fetch(at('/', { method: 'HEAD' })), {
      status: 200,
      headers: { 'content-length': '2' },
      body: '',
    });
  }
  await serve({ response: { status: 204 } });
  for (const fetch of protocols) {
    const answer = await fetch(at('/'));
    t.match([answer.status, answer.headers['content-length'], answer.body], [204, undefined, '']);
  }
});

t.test('every field that can be a default can be served by', async (t) => {
  const defaults = {
    timeouts: { firstByteMs: 30_000 },
    limits: { bodyBytes: 1_000_000, connections: 5 },
    balance: { policy: 'least_requests' },
    health: { passive: { failures: 3, withinMs: 1_000, coolDownMs: 1_000 } },
    retries: { attempts: 2, on: ['connect'] },
    headers: { request: { set: { 'X-All': '{route}' } }, response: { remove: ['X-Upstream'] } },
    rewrite: { addPrefix: '/v2' },
    access: { deny: ['192.0.2.1'] },
    rateLimit: { requests: 1_000, perMs: 1_000, by: 'route' },
    plainHttp: 'serve',
    maintenance: false,
    hsts: { maxAge: 600 },
    compression: true,
    pages: { 404: 'none' },
  };
  const { edge: parsed } = PutSettings.parse({ edge: { defaults } });
  const known = Object.keys(routeDefaults.shape).filter((field) => field !== 'clientCertificates');
  t.same(Object.keys(parsed.defaults).sort(), known.sort(), 'there is a value of each');
  await serve({});
  await settings({ defaults: parsed.defaults });
  t.same(edge.status().refusals, []);
  for (const fetch of protocols) {
    const { status, headers } = await fetch(at('/x'));
    t.equal(status, 200);
    t.match([received?.url, received?.headers['x-all']], ['/v2/x', 'shop']);
    t.match([headers['x-upstream'], headers['strict-transport-security']], [undefined, 'max-age=600']);
  }
  t.equal((await fetchPlain(edge.httpPort, '/', host)).status, 200);
  await settings({});
  t.equal((await fetchPlain(edge.httpPort, '/', host)).status, 308);
});
