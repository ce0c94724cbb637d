import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { startControlPlane } from '../start-control-plane.ts';

const upstreams = [{ url: 'http://127.0.0.1:3000' }];
const count = 40;
const { call, store } = await startControlPlane(t, testFolder(t));
for (let index = 0; index < count; index += 1) {
  const name = String(index).padStart(2, '0');
  const body = {
    hosts: [`${['shop', 'blog'][index % 2]}-${name}.example.com`],
    upstreams,
    tenant: `tenant-${index % 4}`,
    metadata: { plan: index % 3 === 0 ? 'pro' : 'free', 'crm/id': name },
  };
  await call('PUT', `/v1/routes/r${name}`, { body });
}
await call('PUT', '/v1/routes/wild', { body: { hosts: ['*.wc.example.com'], upstreams } });
await call('PUT', '/v1/routes/exact', {
  body: { hosts: ['a.wc.example.com'], upstreams, tenant: 'tenant-1' },
});

async function idsOf(query: string, limit = 7): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const at = cursor === '' ? '' : `&cursor=${cursor}`;
    const { status, text, body } = await call('GET', `/v1/routes?limit=${limit}${query}${at}`);
    if (status !== 200) throw new Error(text);
    ids.push(...body.items.map(({ id }: { id: string }) => id));
    cursor = body.next;
  }
  return ids;
}
const numbered = (select: (index: number) => boolean) =>
  Array.from({ length: count }, (_, index) => index)
    .filter(select)
    .map((index) => `r${String(index).padStart(2, '0')}`);

t.test('each filter gives all that match, and no other, page by page', async (t) => {
  const cases: [string, string[]][] = [
    ['', ['exact', ...numbered(() => true), 'wild']],
    ['&tenant=tenant-1', ['exact', ...numbered((index) => index % 4 === 1)]],
    ['&metadata.plan=pro', numbered((index) => index % 3 === 0)],
    ['&metadata.plan=pro&metadata[crm/id]=06', ['r06']],
    ['&metadata.plan=pro&tenant=tenant-0', numbered((index) => index % 12 === 0)],
    ['&q=SHOP-1', numbered((index) => index % 2 === 0 && index >= 10 && index < 20)],
    ['&host=a.wc.example.com', ['exact', 'wild']],
    ['&host=b.wc.example.com', ['wild']],
    ['&host=a.wc.example.com&tenant=tenant-1', ['exact']],
    ['&state=live', []],
    ['&state=deploying', ['exact', ...numbered(() => true), 'wild']],
    ['&state=deploying&q=blog&tenant=tenant-3', numbered((index) => index % 4 === 3)],
  ];
  for (const [query, ids] of cases) {
    for (const limit of [1, 7, 1000]) t.strictSame(await idsOf(query, limit), ids, `${query} ${limit}`);
    t.strictSame(await idsOf(`${query}&sort=-id`), ids.toReversed(), `${query} backwards`);
    for (const more of ['', '&cursor=r05']) {
      const { body } = await call('GET', `/v1/routes?limit=3&total=true${query}${more}`);
      t.equal(body.total, ids.length, query);
    }
  }
});

t.test('lists are sorted by what is asked, and show what is asked', async (t) => {
  await call('PATCH', '/v1/routes/r07', { body: { methods: ['GET'] } });
  t.equal((await idsOf('&sort=-updatedAt'))[0], 'r07');
  t.same((await idsOf('&sort=createdAt')).slice(0, 2), ['r00', 'r01']);
  t.same((await idsOf('&sort=host&tenant=tenant-1')).slice(0, 2), ['exact', 'r01']);
  const { body } = await call('GET', '/v1/routes?limit=2&fields=hosts,tenant&sort=-host&total=true');
  t.strictSame(body.items, [
    { id: 'r38', hosts: ['shop-38.example.com'], tenant: 'tenant-2' },
    { id: 'r36', hosts: ['shop-36.example.com'], tenant: 'tenant-0' },
  ]);
  t.equal(body.total, count + 2);
  t.match((await call('GET', '/v1/routes?fields=status&limit=1')).body.items, [
    { status: { state: 'deploying' } },
  ]);
  for (const bad of [
    'fields=nothing',
    'fields=',
    'sort=hosts',
    'state=up',
    'metadata=a',
    'metadata.=a',
    'total=yes',
    'q=',
  ])
    t.equal((await call('GET', `/v1/routes?${bad}`)).status, 400, bad);
});

t.test('hosts come and go by themselves, each with a state of its own', async (t) => {
  const { call, acknowledge } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  const headers = { prefer: 'wait=20' };
  await call('PUT', '/v1/routes/shop', { body: { hosts: ['shop.example.com'], upstreams }, headers });
  await call('PATCH', '/v1/settings', {
    body: { edgeAddresses: ['203.0.113.7'], resolvers: ['127.0.0.1:1'] },
  });
  const path = '/v1/routes/shop/hosts/Alias.Example.com';
  const added = await call('PUT', path);
  t.match(added, { status: 202, body: { hosts: ['shop.example.com', 'alias.example.com'] } });
  t.ok(added.headers.get('etag'));
  const waited = await call('PUT', path, { headers });
  t.match(waited.body.status.hosts, [
    { host: 'shop.example.com', state: 'live' },
    { host: 'alias.example.com', state: 'waiting_for_dns' },
  ]);
  t.match(waited.body.status, {
    state: 'waiting_for_dns',
    nodes: { live: 1 },
    reason: /^alias.example.com: .*\(1 of 2 hosts/,
  });
  t.equal(waited.body.revision, added.body.revision, 'what is there already is not added');
  const stale = await call('DELETE', path, { headers: { 'if-match': '"1"' } });
  t.equal(stale.status, 412);
  t.equal((await call('DELETE', path)).status, 204);
  t.match(await call('DELETE', path), { status: 404, body: { host: 'alias.example.com' } });
  t.equal((await call('DELETE', `${path}?missing=ok`)).status, 204);
  const last = await call('DELETE', '/v1/routes/shop/hosts/shop.example.com');
  t.match(last, { status: 409, body: { code: 'wrong_state', detail: /delete the route/ } });
  t.match(await call('PUT', '/v1/routes/shop/hosts/192.0.2.07'), {
    status: 400,
    body: { errors: [{ pointer: 'host' }] },
  });
  t.equal((await call('PUT', '/v1/routes/none/hosts/a.example.com')).status, 404);
  await call('PUT', '/v1/routes/other', { body: { hosts: ['other.example.com'], upstreams } });
  t.match(await call('PUT', '/v1/routes/shop/hosts/other.example.com'), {
    status: 409,
    body: { code: 'host_taken' },
  });
});

t.test('a route is validated, and the DNS of a host is looked at, without anything being made', async (t) => {
  const counts = async () => [await store.count('route'), await store.count('order')];
  const before = await counts();
  const validate = (body: object) => call('POST', '/v1/routes/validate', { body });
  const fine = await validate({ hosts: ['New.example.com'], upstreams, alsoServe: 'www' });
  t.match(fine, {
    status: 200,
    body: { valid: true, hosts: ['new.example.com', 'www.new.example.com'], paths: ['/'] },
  });
  t.match(await validate({ hosts: ['com'], upstreams }), {
    status: 400,
    body: { errors: [{ pointer: '/hosts/0' }] },
  });
  t.match(await validate({ hosts: ['shop-00.example.com'], upstreams }), {
    status: 409,
    body: { route: 'r00' },
  });
  t.equal((await validate({ id: 'r00', hosts: ['shop-00.example.com'], upstreams })).status, 200);
  t.match(await validate({ hosts: ['new.example.com'], upstreams, issuers: ['none'] }), { status: 400 });
  const dns = await call('GET', '/v1/dns-requirements?host=New.example.com');
  t.match(dns, { status: 200, body: { host: 'new.example.com', ok: true, dnsRequirements: [] } });
  t.equal((await call('GET', '/v1/dns-requirements')).status, 400);
  t.same(await counts(), before);
});
