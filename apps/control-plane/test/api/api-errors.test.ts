import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errorCodes } from '@lockstep/contract';
import { Problem } from '@lockstep/contract/schemas';
import { testFolder } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { createUnreadable } from '../../src/api/answer-unreadable.ts';
import { type RawAnswer, sendRaw } from '../raw-http.ts';
import { adminToken, startControlPlane } from '../start-control-plane.ts';

const { call, url, store, acknowledge, report } = await startControlPlane(t, testFolder(t), {
  adminHosts: ['api.internal'],
});
const H = 'Host: localhost\r\n';
const A = `Authorization: Bearer ${adminToken}\r\n`;
const json = 'Content-Type: application/json\r\n';
const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };

function isProblem(t: Test, answer: RawAnswer | undefined, status: number, code: string, name: string) {
  t.equal(answer?.status, status, `${name}: ${answer?.text}`);
  t.equal(answer?.headers.get('content-type'), 'application/problem+json', name);
  const body = JSON.parse(answer?.text || '{}');
  t.ok(Problem.safeParse(body).success, name);
  t.match(body, { code, status, title: errorCodes[code as keyof typeof errorCodes].title }, name);
  t.equal(answer?.headers.get('x-request-id'), body.instance, name);
  if (code === 'invalid_request') t.type(body.errors?.[0]?.pointer, 'string', name);
  return body;
}

t.test('what cannot be read is told in a problem document, whatever is wrong with it', async (t) => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\n${H}${A}\r\n`;
  const post = (fields: string, body: string | Buffer) =>
    Buffer.concat([
      Buffer.from(
        `POST /v1/routes HTTP/1.1\r\n${H}${A}${fields}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
      ),
      Buffer.from(body),
    ]);
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  const cases: [string, string | Buffer, number, string, string?][] = [
    ['a bad escape', get('/v1/routes/%zz'), 400, 'invalid_request', 'path'],
    ['an escape that is no UTF-8', get('/v1/routes/%ff'), 400, 'invalid_request', 'path'],
    ['a fragment', get('/healthz#x'), 400, 'invalid_request', 'path'],
    ['a long id', get(`/v1/routes/${'a'.repeat(301)}`), 400, 'invalid_request', 'id'],
    [
      'a long id of a certificate',
      get(`/v1/certificates/${'a'.repeat(5_000)}`),
      400,
      'invalid_request',
      'id',
    ],
    ['a bad parameter', get('/v1/routes?limit=0'), 400, 'invalid_request', 'limit'],
    ['a parameter where there is none', get('/v1/settings?x=1'), 400, 'invalid_request', 'x'],
    ['a parameter twice', get('/v1/routes?limit=1&limit=2'), 400, 'invalid_request', 'limit'],
    ['a long path', get(`/${'a'.repeat(20_000)}`), 414, 'uri_too_long'],
    ['a far too long path', get(`/${'a'.repeat(100_000)}`), 414, 'uri_too_long'],
    [
      'large fields',
      `GET /healthz HTTP/1.1\r\n${H}X: ${'a'.repeat(40_000)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    [
      'far too large fields',
      `GET /healthz HTTP/1.1\r\n${H}X: ${'a'.repeat(400_000)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    ['many fields', `GET /healthz HTTP/1.1\r\n${H}${'a: b\r\n'.repeat(9_000)}\r\n`, 431, 'headers_too_large'],
    ['a bad field name', `GET /healthz HTTP/1.1\r\n${H}a b: c\r\n\r\n`, 400, 'invalid_request'],
    ['a folded field', `GET /healthz HTTP/1.1\r\n${H}X: a\r\n b\r\n\r\n`, 400, 'invalid_request'],
    ['a NUL in a field', `GET /healthz HTTP/1.1\r\n${H}X: a\0b\r\n\r\n`, 400, 'invalid_request'],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', 400, 'invalid_request', 'Host'],
    ['two Hosts', `GET /healthz HTTP/1.1\r\n${H}${H}\r\n`, 400, 'invalid_request', 'Host'],
    [
      'two Hosts with a token',
      `GET /v1/routes HTTP/1.1\r\n${H}${A}Host: localhost\r\n\r\n`,
      400,
      'invalid_request',
      'Host',
    ],
    ['an empty Host', 'GET /healthz HTTP/1.1\r\nHost:\r\n\r\n', 400, 'invalid_request', 'Host'],
    ['a list in Host', 'GET /healthz HTTP/1.1\r\nHost: a, b\r\n\r\n', 400, 'invalid_request', 'Host'],
    ['an unknown Expect', `GET /healthz HTTP/1.1\r\n${H}Expect: foo\r\n\r\n`, 417, 'expectation_failed'],
    ['an unknown method', `BREW /healthz HTTP/1.1\r\n${H}\r\n`, 501, 'not_implemented'],
    ['CONNECT', `CONNECT example.com:443 HTTP/1.1\r\n${H}\r\n`, 501, 'not_implemented'],
    [
      'a transfer coding',
      `POST /v1/routes HTTP/1.1\r\n${H}${A}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      501,
      'not_implemented',
    ],
    ...['gzip', 'x', 'chunked, gzip', 'chunked\r\nTransfer-Encoding: br', 'chunked;q=1'].map(
      (codings): (typeof cases)[number] => [
        `the transfer coding ${codings}`,
        `POST /v1/routes HTTP/1.1\r\n${H}${A}${json}Transfer-Encoding: ${codings}\r\n\r\n0\r\n\r\n`,
        501,
        'not_implemented',
      ],
    ),
    [
      'chunked twice',
      `POST /v1/routes HTTP/1.1\r\n${H}${A}${json}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
      400,
      'invalid_request',
      'Transfer-Encoding',
    ],
    [
      'a length that is no number',
      `POST /v1/routes HTTP/1.1\r\n${H}${A}${json}Content-Length: x\r\n\r\n`,
      400,
      'invalid_request',
      'Content-Length',
    ],
    ['TLS', Buffer.from('160301020001000001fc0303', 'hex'), 400, 'invalid_request'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'invalid_request'],
    ['no HTTP at all', 'hello\r\n\r\n', 400, 'invalid_request'],
    ...['HTTP/9.9', 'HTTP/2.0', 'HTTP/1.2'].map((version): (typeof cases)[number] => [
      version,
      `GET /healthz ${version}\r\n${H}\r\n`,
      505,
      'version_not_supported',
    ]),
    ...['RTSP/1.0', 'RTSP/1.1', 'ICE/1.0', 'HTTP/1', 'HTTP/1.10', 'HTTP/1.1 ', 'HTTP/0.9'].map(
      (version): (typeof cases)[number] => [
        version,
        `GET /healthz ${version}\r\n${H}\r\n`,
        400,
        'invalid_request',
      ],
    ),
    ['a line without CR', `GET /healthz HTTP/1.1\n${H}\r\n`, 400, 'invalid_request'],
    ['an unknown method in a line without CR', `BREW /healthz HTTP/1.1\n${H}\r\n`, 400, 'invalid_request'],
    ['a method of RTSP', `DESCRIBE /healthz HTTP/1.1\r\n${H}\r\n`, 501, 'not_implemented'],
    ['the same in RTSP', `DESCRIBE /healthz RTSP/1.0\r\n${H}\r\n`, 400, 'invalid_request'],
    [
      'both lengths',
      `POST /v1/routes HTTP/1.1\r\n${H}${A}${json}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      'invalid_request',
      'Content-Length',
    ],
    [
      'a bad chunk',
      `POST /v1/routes HTTP/1.1\r\n${H}${A}${json}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`,
      400,
      'invalid_request',
    ],
    [
      'large chunk extensions',
      `POST /v1/routes HTTP/1.1\r\n${H}${A}${json}Transfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(20_000)}\r\n`,
      413,
      'payload_too_large',
    ],
    ['no address', get('/v1/nothing'), 404, 'not_found'],
    ['no token', `GET /v1/routes HTTP/1.1\r\n${H}\r\n`, 401, 'unauthorized'],
    ['no token at an unknown address', `GET /v1/nothing HTTP/1.1\r\n${H}\r\n`, 401, 'unauthorized'],
    [
      'no token, and a body of another type',
      `POST /v1/routes HTTP/1.1\r\n${H}Content-Type: a/b\r\nContent-Length: 1\r\n\r\nx`,
      401,
      'unauthorized',
    ],
    [
      'a body for an unknown address',
      `POST /v1/nothing HTTP/1.1\r\n${H}${A}${json}Content-Length: 1\r\n\r\n{`,
      404,
      'not_found',
    ],
    ['another method', `DELETE /v1/routes HTTP/1.1\r\n${H}${A}\r\n`, 405, 'method_not_allowed'],
    ['a WebDAV method', `PROPFIND /healthz HTTP/1.1\r\n${H}\r\n`, 405, 'method_not_allowed'],
    ['a large body', post(json, `"${'a'.repeat(1_048_576)}"`), 413, 'payload_too_large'],
    ['no body', post(json, ''), 400, 'invalid_request', ''],
    ['half a body', post(json, '{"hosts":'), 400, 'invalid_request', ''],
    ['a list', post(json, '[]'), 400, 'invalid_request', ''],
    ['null', post(json, 'null'), 400, 'invalid_request', ''],
    ['depth', post(json, deep), 400, 'invalid_request', ''],
    ['depth in a field', post(json, `{"hosts":${deep}}`), 400, 'invalid_request', ''],
    ['__proto__', post(json, '{"__proto__":{"hosts":[]}}'), 400, 'invalid_request', '/__proto__'],
    ['constructor', post(json, '{"constructor":{"prototype":{}}}'), 400, 'invalid_request'],
    ['a NUL', post(json, '{"id":"a\\u0000"}'), 400, 'invalid_request', '/id'],
    ['half a surrogate pair', post(json, '{"paths":["/\\ud800"]}'), 400, 'invalid_request', '/paths/0'],
    ['half a surrogate pair as a name', post(json, '{"\\udc00":1}'), 400, 'invalid_request'],
    ['a huge number', post(json, '{"hosts":1e999}'), 400, 'invalid_request', '/hosts'],
    ['no UTF-8', post(json, Buffer.from('7b2268ff223a317d', 'hex')), 400, 'invalid_request', ''],
    [
      'UTF-16',
      post('Content-Type: application/json; charset=utf-16\r\n', '{}'),
      415,
      'unsupported_media_type',
    ],
    [
      'gzip',
      post(`${json}Content-Encoding: gzip\r\n`, Buffer.from('1f8b', 'hex')),
      415,
      'unsupported_media_type',
    ],
    ['another type', post('Content-Type: text/plain\r\n', '{}'), 415, 'unsupported_media_type'],
    ['no type', post('', '{}'), 415, 'unsupported_media_type'],
    ['a type that is none', post('Content-Type: ;\r\n', '{}'), 415, 'unsupported_media_type'],
    [
      'a merge patch to POST',
      post('Content-Type: application/merge-patch+json\r\n', '{}'),
      415,
      'unsupported_media_type',
    ],
    ['a field twice', post(json, '{"id":"a","id":"b"}'), 400, 'invalid_request', '/id'],
    [
      'a field twice, once escaped',
      post(json, '{"hosts":["{\\"",[]],"upstreams":[{},{"url":"a","u\\u0072l":"b"}]}'),
      400,
      'invalid_request',
      '/upstreams/1/url',
    ],
  ];
  for (const [name, bytes, status, code, pointer] of cases) {
    const { answers } = await sendRaw(url, [bytes]);
    const body = isProblem(t, answers[0], status, code, name);
    if (pointer !== undefined) t.equal(body.errors?.[0]?.pointer, pointer, name);
  }
  t.equal(await store.count('route'), 0);
  t.equal((await call('GET', '/healthz')).status, 200);
});

t.test('a host that names another server is refused, with and without the token', async (t) => {
  for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json', '/v1/routes', '/v1/nothing']) {
    const evil = await sendRaw(url, [`GET ${path} HTTP/1.1\r\nHost: evil.example\r\n${A}\r\n`]);
    isProblem(t, evil.answers[0], 421, 'misdirected', path);
    const absolute = await sendRaw(url, [`GET http://evil.example${path} HTTP/1.1\r\n${H}${A}\r\n`]);
    isProblem(t, absolute.answers[0], 421, 'misdirected', path);
  }
  for (const host of [
    'localhost:7400',
    'x.localhost',
    '127.0.0.1',
    '10.1.2.3:99',
    '[::1]:7400',
    'API.internal:7400',
  ]) {
    const own = await sendRaw(url, [`GET /v1/routes HTTP/1.1\r\nHost: ${host}\r\n${A}\r\n`]);
    t.equal(own.answers[0]?.status, 200, host);
  }
  const absolute = await sendRaw(url, [
    `GET http://api.internal/v1/routes?limit=1 HTTP/1.1\r\nHost: evil.example\r\n${A}\r\n`,
  ]);
  t.equal(absolute.answers[0]?.status, 200, 'the host of an absolute target is the one that counts');
  t.equal(
    (await sendRaw(url, ['GET /healthz HTTP/1.0\r\n\r\n'])).answers[0]?.status,
    200,
    'HTTP/1.0 names none',
  );
});

t.test(
  'a request that needs no body is done whatever type of nothing it sends, and the connection stays',
  async (t) => {
    acknowledge('edge-1');
    const types = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', '', ';'];
    for (const [index, type] of types.entries()) {
      const id = `r${index}`;
      const host = `${id}.example.com`;
      await call('PUT', `/v1/routes/${id}`, {
        body: { ...shop, hosts: [host] },
        headers: { prefer: 'wait=20' },
      });
      const fields = `${H}${A}Content-Type: ${type}\r\n`;
      const chunked =
        type === 'application/json'
          ? 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
          : 'Content-Length: 0\r\n\r\n';
      const requests = [
        `POST /v1/routes/${id}/check HTTP/1.1\r\n${fields}\r\n`,
        `POST /v1/certificates/${host}/renew HTTP/1.1\r\n${fields}${chunked}`,
        `DELETE /v1/routes/${id} HTTP/1.1\r\n${fields}Content-Length: 0\r\n\r\n`,
        `GET /v1/routes/${id} HTTP/1.1\r\n${fields}\r\n`,
      ];
      const { answers, closed } = await sendRaw(url, requests, { inTurn: true });
      t.same(
        answers.map(({ status }) => status),
        [200, 202, 204, 404],
        type,
      );
      t.equal(closed, false, 'the connection stays open');
    }
  },
);

t.test('an error leaves the connection as it is where the request has arrived whole', async (t) => {
  const bad = `POST /v1/routes HTTP/1.1\r\n${H}${A}${json}Content-Length: 1\r\n\r\n{`;
  const { answers, closed } = await sendRaw(url, [`${bad}GET /healthz HTTP/1.1\r\n${H}\r\n`], { answers: 2 });
  t.same(
    answers.map(({ status }) => status),
    [400, 200],
  );
  t.equal(closed, false);
});

t.test('what follows a request and cannot be read never stands in place of its answer', async (t) => {
  await report('edge-2', { applied: null });
  const body = JSON.stringify({ ...shop, id: 'waited', hosts: ['waited.example.com'] });
  const slow = `POST /v1/routes HTTP/1.1\r\n${H}${A}${json}Prefer: wait=1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const { answers, closed } = await sendRaw(url, [slow, '\0\r\n\r\n'], { answers: 2 });
  t.equal(answers[0]?.status, 202);
  t.equal(JSON.parse(answers[0]?.text ?? '').id, 'waited');
  if (answers[1] !== undefined) isProblem(t, answers[1], 400, 'invalid_request', 'the second');
  else t.ok(closed);
});

t.test('what is wrong with a field is said in words of ours', async (t) => {
  const body = { hosts: 'a', upstreams: [{ url: 1 }], challenge: 'dns-02' };
  const { errors } = (await call('POST', '/v1/routes', { body })).body;
  t.same(errors, [
    { pointer: '/hosts', detail: 'has to be a list' },
    { pointer: '/upstreams/0/url', detail: 'has to be a text' },
    { pointer: '/challenge', detail: 'has to be one of http-01, tls-alpn-01, dns-01, dns-persist-01' },
  ]);
  t.match((await call('POST', '/v1/routes', { body: {} })).body.errors, [
    { pointer: '/hosts', detail: 'is missing' },
    { pointer: '/upstreams', detail: 'is missing' },
  ]);
  t.match((await call('GET', '/v1/routes?limit=1001')).body.errors, [
    { pointer: 'limit', detail: 'has to be at most 1000' },
  ]);
});

t.test('a request that does not arrive in time is told so', async (t) => {
  const unreadable = createUnreadable(() => {});
  const limits = { headersTimeout: 50, requestTimeout: 100, connectionsCheckingInterval: 10 };
  const server = createServer(limits, (request, response) => {
    request.resume().on('end', () => response.end());
  });
  unreadable.attach(server);
  server.on('clientError', unreadable.answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const slow = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const start of [
    'GET / HTTP/1.1\r\nHost:',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx',
  ]) {
    const { answers } = await sendRaw(slow, [start]);
    isProblem(t, answers[0], 408, 'request_timeout', start);
  }
});

t.test('405 names the methods of the address, and so does OPTIONS', async (t) => {
  const addresses: [string, string][] = [
    ['/v1/routes', 'GET, HEAD, OPTIONS, POST'],
    ['/v1/routes/shop', 'DELETE, GET, HEAD, OPTIONS, PATCH, PUT'],
    ['/v1/certificates/shop.example.com/renew', 'OPTIONS, POST'],
    ['/healthz', 'GET, HEAD, OPTIONS'],
  ];
  for (const [path, allow] of addresses) {
    const options = await call('OPTIONS', path);
    t.equal(options.status, 204);
    t.equal(options.headers.get('allow'), allow);
    const other = await call('PROPPATCH', path);
    t.match(other, { status: 405, body: { code: 'method_not_allowed' } });
    t.equal(other.headers.get('allow'), allow);
  }
  t.equal((await call('OPTIONS', '/v1/nothing')).status, 404);
  const all = await sendRaw(url, [`OPTIONS * HTTP/1.1\r\n${H}\r\n`]);
  t.equal(all.answers[0]?.status, 204);
  t.equal(
    (await fetch(`${url}/v1/routes`, { method: 'OPTIONS' })).status,
    401,
    'below /v1 with the token only',
  );
});

t.test('every answer carries the id of its request: the one sent, where it can be used', async (t) => {
  for (const [given, kept] of [
    ['4bf92f3577b34da6a3ce929d0e0e4736', true],
    ['01J-x_y.z~@+=', true],
    ['a b', false],
    ['a/b', false],
    ['ä', false],
    ['x'.repeat(129), false],
  ] as const) {
    for (const path of [
      '/healthz',
      '/v1/routes',
      '/v1/nothing',
      '/v1/routes/%zz',
      '/metrics',
      '/v1/ca/root.crt',
    ]) {
      const { answers } = await sendRaw(url, [
        `GET ${path} HTTP/1.1\r\n${H}${A}X-Request-Id: ${given}\r\n\r\n`,
      ]);
      const id = answers[0]?.headers.get('x-request-id');
      if (kept) t.equal(id, given, path);
      else t.match(id, /^[0-9a-f-]{36}$/, path);
    }
  }
});

t.test('every method at every address answers with what is described, or a valid problem', async (t) => {
  const document = (await call('GET', '/openapi.json')).body;
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'SEARCH', 'QUERY'];
  for (const path of Object.keys(document.paths)) {
    const target = path.replaceAll(/\{\w+\}/g, 'nobody');
    for (const method of methods) {
      const { answers } = await sendRaw(url, [
        `${method} ${target} HTTP/1.1\r\n${H}${A}${json}Content-Length: 2\r\nConnection: close\r\n\r\n{}`,
      ]);
      const [answer] = answers;
      const name = `${method} ${path}`;
      t.ok(answer !== undefined && answer.status < 500, `${name}: ${answer?.status}`);
      // Its last part may be an id for other methods.
      const asId = document.paths[path.replace(/[^/]+$/, '{id}')] ?? {};
      const operation = { ...asId, ...document.paths[path] }[method.toLowerCase()];
      const described = operation?.responses ?? { default: {} };
      if (described[String(answer?.status)] === undefined)
        t.match(String(answer?.status), /^(204|405|501)$/, `${name} answers as is described`);
      if (answer === undefined || answer.status < 400) continue;
      isProblem(t, answer, answer.status, JSON.parse(answer.text).code, name);
    }
  }
});
