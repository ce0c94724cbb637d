import type { RouteRecord } from '@lockstep/contract';
import t from 'tap';
import { createRouteTable } from '../../../src/native/routing/route-table.ts';
import { createRateBuckets } from '../../../src/native/rules/rate-buckets.ts';
import type { RuleServices } from '../../../src/native/rules/rule-services.ts';
import type { UpstreamGroup, Upstreams } from '../../../src/native/upstreams/upstreams.ts';

const at = '2026-11-26T00:00:00.000Z';
const route = (more: Partial<RouteRecord> = {}): RouteRecord => ({
  hosts: ['shop.example.com'],
  paths: ['/'],
  upstreams: [{ url: 'http://10.0.0.7:3000' }],
  createdAt: at,
  updatedAt: at,
  ...more,
});

function createTable() {
  const open = new Set<UpstreamGroup>();
  const upstreams = {
    acquire() {
      const group = { bodyBytes: null } as UpstreamGroup;
      open.add(group);
      return group;
    },
    release: (group: UpstreamGroup) => void open.delete(group),
  } as unknown as Upstreams;
  const services = { buckets: createRateBuckets({ tell: null }) } as RuleServices;
  const table = createRouteTable({
    upstreams,
    services,
    hasCertificate: (host) => host === 'any.example.com',
  });
  const ask = (method: string, path: string, headers: string[] = [], host = 'shop.example.com') => ({
    host,
    method,
    path,
    headers: ['host', host, ...headers],
  });
  return {
    table,
    open,
    ask,
    find: (...args: Parameters<typeof ask>) => table.find(ask(...args))?.id ?? null,
  };
}

t.test('the routes of a host are asked in the order that is documented', async (t) => {
  const { table, find } = createTable();
  const beta = { headers: [{ name: 'X-Beta', present: true }] };
  const records: Record<string, Partial<RouteRecord>> = {
    a: {},
    'b-posts': { methods: ['POST'] },
    'c-beta': { match: beta },
    'd-beta-posts': { match: beta, methods: ['POST'] },
    'e-both': { match: { ...beta, query: [{ name: 'v', equals: 'a b' }] } },
    'f-deep': { paths: ['/deep'] },
    'g-exact': { paths: ['=/deep'] },
    'h-none': {
      match: {
        query: [
          { name: 'x', present: false },
          { name: 'y', present: true },
        ],
      },
    },
  };
  for (const [id, more] of Object.entries(records).reverse()) table.put(id, 1, route(more));
  const x = ['x-beta', '1'];
  t.equal(find('GET', '/'), 'a');
  t.equal(find('POST', '/'), 'b-posts');
  t.equal(find('GET', '/', x), 'c-beta');
  t.equal(find('POST', '/', x), 'd-beta-posts');
  t.equal(find('GET', '/?v=a+b', x), 'e-both');
  t.equal(find('GET', '/?v=a%20b&v=c', x), 'e-both', 'one of several values');
  t.equal(find('GET', '/?v=A+b', x), 'c-beta', 'to the letter');
  t.equal(find('POST', '/deep/down', x), 'f-deep', 'a longer path before all conditions');
  t.equal(find('GET', '/deep'), 'g-exact');
  t.equal(find('GET', '/deep?q=1'), 'g-exact');
  t.equal(find('GET', '/deep/'), 'f-deep');
  t.equal(find('GET', '/deeper'), 'a');
  t.equal(find('GET', '/?y='), 'h-none');
  t.equal(find('GET', '/?y=&x=1'), 'a');
});

t.test(
  'a host that waits for a proof is served by no route that names it, and by whoever has it',
  async (t) => {
    const { table, find } = createTable();
    const at = (host: string) => find('GET', '/', [], host);
    const hosts = ['shop.example.com', 'new.example.com'];
    table.put('a', 1, route({ hosts, unproven: ['new.example.com'] }));
    t.equal(at('shop.example.com'), 'a');
    t.equal(at('new.example.com'), null);
    t.notOk(table.names('new.example.com'));
    t.equal(table.hosts, 1);
    table.put(
      'b',
      2,
      route({ hosts: ['new.example.com'], alsoServe: 'www', unproven: ['www.new.example.com'] }),
    );
    t.equal(at('new.example.com'), 'b');
    t.equal(at('www.new.example.com'), null);
    // It goes over: what one loses, the other has.
    table.put('a', 3, route({ hosts }));
    table.put('b', 3, route({ hosts: ['new.example.com'], unproven: ['new.example.com'] }));
    t.equal(at('new.example.com'), 'a');
    table.delete('a');
    t.equal(table.hosts, 0);
  },
);

t.test('a path is served by its route however an upstream may read it', async (t) => {
  const { table, find } = createTable();
  const records: Record<string, string[]> = { rest: ['/'], admin: ['/a/admin', '/top'], exact: ['=/login'] };
  for (const [id, paths] of Object.entries(records)) table.put(id, 1, route({ paths }));
  for (const path of [
    '/a/admin',
    '/a%2Fadmin',
    '/a%5Cadmin/x',
    '/a;v=1/admin',
    '/a%2F;x/admin;y',
    '/%2Fa/admin?b',
    '/;/top',
    '/%2Ftop%2Fx',
    '/top;x%2Fy',
  ])
    t.equal(find('GET', path), 'admin', path);
  for (const path of [
    '/a%2Fadmins',
    '/a%2Fb/admin',
    '/topic;x',
    '/?a%2Fadmin',
    '/x?;/top',
    '/login;x',
    '/a%252Fadmin',
  ])
    t.equal(find('GET', path), 'rest', path);
});

t.test('where only the method is wrong, the methods that would do are told', async (t) => {
  const { table, ask, find } = createTable();
  table.put('read', 1, route({ methods: ['GET'] }));
  table.put('beta', 1, route({ methods: ['PUT'], match: { headers: [{ name: 'X-Beta', equals: '1' }] } }));
  table.put('write', 1, route({ methods: ['POST'], paths: ['/cart'] }));
  t.equal(find('HEAD', '/'), 'read');
  t.equal(find('DELETE', '/cart'), null);
  t.same(table.methodsFor(ask('DELETE', '/cart')), ['POST', 'GET', 'HEAD']);
  t.same(table.methodsFor(ask('DELETE', '/', ['X-Beta', '1'])).sort(), ['GET', 'HEAD', 'PUT']);
  t.same(table.methodsFor(ask('DELETE', '/', [], 'other.example.com')), []);
});

t.test(
  'defaults hold at once, a route’s own field in place of the whole default, and nothing is lost or kept too long',
  async (t) => {
    const { table, open, ask } = createTable();
    const headers = { response: { set: { 'X-A': '1' } } };
    table.put('plain', 1, route());
    table.put('own', 1, route({ hosts: ['own.example.com'], headers: { request: { remove: ['X-B'] } } }));
    table.setCatchAll([{ url: 'http://10.0.0.9:3000' }]);
    const find = (host = 'shop.example.com') => table.find(ask('GET', '/', [], host))!;
    const before = find();
    t.equal(before.rules, null);
    table.setDefaults({ headers });
    t.equal(find().rules?.answers.length, 1);
    t.equal(find(), find(), 'built once');
    t.equal(find().upstreams, before.upstreams, 'with the same upstreams');
    t.equal(find('own.example.com').rules?.answers.length, 0);
    t.equal(find('any.example.com').rules?.answers.length, 1, 'of names on demand too');
    table.setDefaults({ headers, timeouts: { firstByteMs: 5 } });
    t.not(find().upstreams, before.upstreams, 'where it leads changed');
    t.equal(find().rules?.answers[0], find('any.example.com') && find().rules?.answers[0]);
    t.equal(open.size, 3, 'the upstreams that were replaced are given back');
    table.setDefaults({});
    t.equal(find().rules, null);
    for (const id of ['plain', 'own']) table.delete(id);
    table.setCatchAll([]);
    t.equal(open.size, 0);
  },
);

t.test('a hundred thousand routes do not make a change of defaults longer', async (t) => {
  const { table, ask } = createTable();
  for (let i = 0; i < 100_000; i += 1) table.put(`r${i}`, 1, route({ hosts: [`h${i}.example.com`] }));
  const took = process.hrtime.bigint();
  table.setDefaults({ headers: { response: { set: { 'X-A': '1' } } } });
  const ms = Number(process.hrtime.bigint() - took) / 1e6;
  t.comment(`${ms} ms`);
  t.equal(table.find(ask('GET', '/', [], 'h99999.example.com'))?.rules?.answers.length, 1);
});

t.test('a rule keeps what it remembers while its own field stays', async (t) => {
  const { table, ask } = createTable();
  const headers = { response: { set: { 'X-A': '1' } } };
  const find = () => table.find(ask('GET', '/'))!.rules!.answers[0];
  table.put('shop', 1, route({ headers }));
  const rule = find();
  table.put(
    'shop',
    2,
    route({ headers: structuredClone(headers), upstreams: [{ url: 'http://10.0.0.8:3000' }] }),
  );
  t.equal(find(), rule);
  table.put('shop', 3, route({ headers: { response: { set: { 'X-A': '2' } } } }));
  t.not(find(), rule);
});
