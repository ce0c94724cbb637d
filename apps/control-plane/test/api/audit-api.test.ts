import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { createAudit } from '../../src/changes/audit.ts';
import { startControlPlane } from '../start-control-plane.ts';

const upstreams = [{ url: 'http://127.0.0.1:3000' }];
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

t.test('tells who changed what, by which request, and what it was before', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const scopes = ['routes:*', 'audit:read'];
  const { token, id } = (await call('POST', '/v1/tokens', { body: { name: 'shop backend', scopes } })).body;
  const route = {
    hosts: ['shop.example.com'],
    upstreams,
    basicAuth: {
      realm: 'shop',
      users: [{ name: 'a', passwordHash: '$2y$10$SF5F9NKeYPNfSbZpTIy3Kur7ycSjV54lRBxePUCGMh7ckEPQ2D866' }],
    },
  };
  const began = new Date(await store.now()).toISOString();
  const headers = { ...bearer(token), 'x-request-id': 'deploy-7' };
  t.equal((await call('PUT', '/v1/routes/shop', { body: route, headers })).status, 201);
  await call('PATCH', '/v1/routes/shop', { body: { paths: ['/a'] } });
  await call('DELETE', '/v1/routes/shop', { headers });
  const all = await call('GET', '/v1/audit', { headers: bearer(token) });
  t.match(all.body.items.slice(0, 3), [
    {
      action: 'deleted',
      kind: 'route',
      id: 'shop',
      by: { name: 'shop backend', id },
      before: { paths: ['/a'] },
      after: null,
    },
    {
      action: 'updated',
      by: { kind: 'token', name: 'admin', id: null },
      before: { paths: ['/'] },
      after: { paths: ['/a'] },
    },
    { action: 'created', by: { name: 'shop backend', id }, requestId: 'deploy-7', before: null, at: String },
  ]);
  t.notMatch(all.text, /SF5F9NKeYPNf|passwordHash|"hash"|sealed/);
  t.ok(all.text.includes('"kind":"token"') && !all.text.includes(token));

  const count = async (query: string) => (await call('GET', `/v1/audit?${query}`)).body.items.length;
  t.equal(await count(`principal=${id}`), 2);
  t.equal(await count('principal=shop%20backend&kind=route'), 2);
  t.equal(await count('principal=admin&kind=route&id=shop'), 1);
  t.equal(await count('kind=route&id=other'), 0);
  t.equal(await count(`since=${began}`), 3);
  t.equal(await count(`until=${began}&kind=token`), 1);
  t.equal(await count('since=2999-01-01T00:00:00Z'), 0);
  for (const query of ['since=soon', 'cursor=no', 'cursor=1;2', 'colour=red'])
    t.equal((await call('GET', `/v1/audit?${query}`)).status, 400, query);
});

t.test('pages have each entry once, whatever the filter', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  for (let count = 0; count < 7; count += 1)
    await call('PUT', `/v1/routes/r${count % 2}`, {
      body: { hosts: [`h${count % 2}.test`], paths: [`/${count}`], upstreams },
    });
  for (const query of ['', '&kind=route', '&kind=route&id=r0', '&principal=admin']) {
    const whole = (await call('GET', `/v1/audit?limit=100${query}`)).body.items;
    for (const limit of [1, 2, 3]) {
      const found = [];
      let cursor = '';
      for (let pages = 0; pages < 50; pages += 1) {
        const { items, next } = (await call('GET', `/v1/audit?limit=${limit}${query}${cursor}`)).body;
        found.push(...items);
        if (next === null) break;
        cursor = `&cursor=${next}`;
      }
      t.strictSame(found, whole, `${limit} at once${query}`);
    }
  }
});

t.test('a tenant sees what is its own, and of others no name', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const make = async (tenant: string) =>
    (
      await call('POST', '/v1/tokens', {
        body: { name: `${tenant} token`, scopes: ['routes:*', 'audit:read'], tenant },
      })
    ).body.token;
  const [alpha, beta] = [await make('alpha'), await make('beta')];
  await call('PUT', '/v1/routes/moved', {
    body: { hosts: ['moved.test'], upstreams },
    headers: bearer(alpha),
  });
  await call('PATCH', '/v1/routes/moved', {
    body: { paths: ['/of-alpha'] },
    headers: { 'x-request-id': 'of-the-operator' },
  });
  await call('PATCH', '/v1/routes/moved', { body: { tenant: 'beta', paths: ['/of-beta'] } });
  const of = async (token: string, query = '') =>
    (await call('GET', `/v1/audit${query}`, { headers: bearer(token) })).body.items;
  const nobody = { kind: 'token', name: null, id: null };
  t.match(await of(alpha, '?kind=route'), [
    { action: 'deleted', by: nobody, before: { paths: ['/of-alpha'] }, after: null, requestId: null },
    { action: 'updated', by: nobody, requestId: null },
    { action: 'created', by: { name: 'alpha token' } },
  ]);
  t.match(await of(beta, '?kind=route'), [
    { action: 'created', before: null, after: { paths: ['/of-beta'] } },
  ]);
  t.notMatch(JSON.stringify(await of(beta)), /alpha/);
  t.strictSame(await of(beta, '?tenant=alpha'), []);
});

t.test('a page looks through some thousand entries and no more', async (t) => {
  let reads = 0;
  const entry = {
    at: 0,
    position: { epoch: 'e', number: 1, commitId: 'c' },
    by: { kind: 'system' },
    requestId: null,
  } as const;
  const audit = createAudit({
    async readJournal({ limit, cursor = '0' }) {
      reads += limit;
      const items = Array.from({ length: limit }, () => ({
        ...entry,
        cause: null,
        kind: 'route' as const,
        id: 'a',
        before: null,
        after: null,
      }));
      return { items, next: String(Number(cursor) + limit) };
    },
  });
  const page = await audit.page({ limit: 10, id: 'none' }, null);
  t.strictSame(page, { items: [], next: '5000' });
  t.equal(reads, 5_000);
});
