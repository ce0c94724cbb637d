import t from 'tap';
import { PatchRoute, PutRoute } from '../../src/schemas.ts';

const valid = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };

function problems(body: unknown): [string, string][] {
  const parsed = PutRoute.safeParse(body);
  if (parsed.success) return [];
  return parsed.error.issues.map(({ path, message }) => [path.join('/'), message]);
}

t.test('a route needs no more than hosts and upstreams, and serves all paths then', async (t) => {
  t.same(PutRoute.parse(valid), { ...valid, paths: ['/'] });
});

t.test('hosts and paths that are the same once normalised are one', async (t) => {
  const route = PutRoute.parse({
    ...valid,
    hosts: ['Shop.example.com', 'shop.example.com.'],
    paths: ['/api', '/api/'],
  });
  t.same(route.hosts, ['shop.example.com']);
  t.same(route.paths, ['/api']);
});

t.test('an upstream is http or https with a host and an optional port, and nothing else', async (t) => {
  const url = (input: string) => PutRoute.safeParse({ ...valid, upstreams: [{ url: input }] });
  t.equal(url('http://10.0.0.7:3000/').data?.upstreams?.[0]?.url, 'http://10.0.0.7:3000');
  t.equal(url('https://App.Example.com').data?.upstreams?.[0]?.url, 'https://app.example.com');
  t.equal(url('http://[::1]:3000').data?.upstreams?.[0]?.url, 'http://[::1]:3000');
  const refused = [
    'ftp://h',
    'http://h/path',
    'http://h/?q',
    'http://h/#f',
    'http://h?',
    'http://u:p@h',
    'h:3000',
    '',
    'http://',
    'http:h',
    'http:/h',
    'http:///h',
    'http://@h',
    'http:\\\\h',
    ' http://h',
    'http://h\n',
    'http://h:0',
    'http://*.example.com',
    'http://a..b',
    'http://..',
    `http://${'a'.repeat(64)}.example.com`,
    `http://${Array.from({ length: 5 }, () => 'a'.repeat(60)).join('.')}`,
  ];
  for (const input of refused) t.notOk(url(input).success, input);
  for (const input of ['http://a_b:3000', 'http://app.', 'http://bücher.example:65535'])
    t.ok(url(input).success, input);
});

t.test('what an upstream cannot be spoken to by is refused by its name', async (t) => {
  const one = (upstream: object) => problems({ ...valid, upstreams: [upstream] });
  const url = 'https://app.example.com';
  t.same(one({ url: 'unix:/run/app.sock', host: 'app', protocol: 'http1', proxyProtocol: 2 }), []);
  t.equal(
    PutRoute.parse({ ...valid, upstreams: [{ url: 'unix:///run/app.sock' }] }).upstreams?.[0]?.url,
    'unix:/run/app.sock',
  );
  for (const path of ['', 'app.sock', '//run/app', `/${'a'.repeat(107)}`])
    t.match(one({ url: `unix:${path}` }), [['upstreams/0/url', /absolute path/]], path);
  t.match(one({ url: 'unix:/run/app.sock', host: 'upstream' }), [['upstreams/0/host', /no name/]]);
  t.match(one({ url: 'http://app', tls: {} }), [['upstreams/0/tls', /https/]]);
  t.match(one({ url, host: 'a b' }), [['upstreams/0/host', /"keep", "upstream" or a name/]]);
  t.match(one({ url, proxyProtocol: 3 }), [['upstreams/0/proxyProtocol', /.+/]]);
  t.match(one({ url: 'http://app', protocol: 'h2' }), [['upstreams/0/protocol', /https:/]]);
  t.match(one({ url, protocol: 'h2c' }), [['upstreams/0/protocol', /http:/]]);
  t.match(one({ url, protocol: 'h2', proxyProtocol: 1 }), [['upstreams/0/proxyProtocol', /many/]]);
  const tls = (given: object) => one({ url, tls: given });
  t.match(tls({ serverName: '192.0.2.1' }), [['upstreams/0/tls/serverName', /IP address/]]);
  t.match(tls({ ca: 'x' }), [['upstreams/0/tls/ca', /no PEM certificate/]]);
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  t.match(tls({ ca: broken }), [['upstreams/0/tls/ca', /cannot be read, number 1/]]);
  const key = '-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n';
  const [[, told] = []] = tls({ ca: broken + key });
  t.match(told, /private key/);
  t.notMatch(told, /secret/);
  t.match(tls({ clientCertificate: key }), [['upstreams/0/tls/clientCertificate', /id of a certificate/]]);
});

t.test('every bad field is pointed at', async (t) => {
  t.match(problems({ ...valid, hosts: ['ok.example', '192.0.2'] }), [['hosts/1', /IP address/]]);
  t.match(problems({ ...valid, hosts: [] }), [['hosts', /at least one host/]]);
  t.match(problems({ ...valid, upstreams: [] }), [['upstreams', /at least one upstream/]]);
  t.match(problems({ ...valid, paths: ['api'] }), [['paths/0', /starts with \//]]);
  t.match(problems({ ...valid, id: 'a/b' }), [['id', /letters, digits/]]);
  t.match(problems({ ...valid, host: 'x' }), [['', /host/]]);
  t.match(problems({ hosts: 7 }), [
    ['hosts', /has to be a list/],
    ['upstreams', /has to be a list|is missing/],
  ]);
});

t.test('a patch may leave everything out, and null takes paths back to all', async (t) => {
  t.same(PatchRoute.parse({}), {});
  t.same(PatchRoute.parse({ paths: null }), { paths: null });
  t.notOk(PatchRoute.safeParse({ hosts: null }).success);
  t.notOk(PatchRoute.safeParse({ id: 'x' }).success);
});
