import { join } from 'node:path';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createRedisStore } from '@lockstep/store';
import { startRedis, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { type OpenapiDocument, operationsOf } from '../../src/openapi/document-parts.ts';
import { openapiDocument } from '../../src/openapi/openapi-document.ts';
import { adminToken, startControlPlane } from '../start-control-plane.ts';

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

t.test('a token is shown once, kept as a hash, and may do what its scopes say', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const body = { name: 'shop backend', scopes: ['routes:write', 'routes:write', 'nodes:*'] };
  const made = await call('POST', '/v1/tokens', { body });
  t.match(made, {
    status: 201,
    body: { token: /^lks_[a-z0-9]{12}_[\w-]{43}$/, scopes: ['routes:write', 'nodes:*'] },
  });
  const { token, ...shown } = made.body;
  t.equal(made.headers.get('location'), `/v1/tokens/${shown.id}`);
  t.equal(made.headers.get('cache-control'), 'no-store');
  t.strictSame((await call('GET', `/v1/tokens/${shown.id}`)).body, shown);
  t.strictSame((await call('GET', '/v1/tokens')).body, { items: [shown], next: null });
  const kept = JSON.stringify([await store.get('token', shown.id), await store.readJournal({ limit: 100 })]);
  t.notOk(kept.includes(token));
  t.notMatch(await store.readJournal({ limit: 100 }), { items: [{ after: { hash: String } }] });

  t.equal((await call('GET', '/v1/routes', bearer(token))).status, 200, 'write is read too');
  t.equal((await call('GET', '/v1/nodes', bearer(token))).status, 200);
  const route = { id: 'shop', hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
  t.equal((await call('POST', '/v1/routes', { body: route, ...bearer(token) })).status, 201);
  const entry = (await store.readLog({ ...(await store.head()), number: 0, commitId: '' }, 100))?.at(-1);
  t.match(entry?.by, { kind: 'token', name: 'shop backend', id: shown.id });
  t.match(await call('GET', '/v1/settings', bearer(token)), {
    status: 403,
    body: {
      code: 'forbidden',
      scope: 'settings:read',
      detail: 'the token "shop backend" lacks the scope settings:read',
    },
  });
  t.match(await call('GET', '/v1/nothing', bearer(token)), { status: 404 });
  t.equal(
    (await call('GET', '/v1/routes', bearer(token.replace(/.$/, token.endsWith('A') ? 'Q' : 'A')))).status,
    401,
  );
});

t.test('what a token cannot be is refused by its field', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const rows: [object, string][] = [
    [{ name: '' }, '/name'],
    [{ name: 'admin' }, '/name'],
    [{ scopes: [] }, '/scopes'],
    [{ scopes: ['routes:delete'] }, '/scopes/0'],
    [{ expiresAt: '2020-01-01T00:00:00Z' }, '/expiresAt'],
    [{ expiresAt: 'soon' }, '/expiresAt'],
    [{ hostSuffixes: ['not a host'] }, '/hostSuffixes/0'],
    [{ tenant: 'a b' }, '/tenant'],
    [{ tenant: 'a', scopes: ['routes:read', 'settings:read'] }, '/scopes/1'],
    [{ tenant: 'a', scopes: ['admin'] }, '/scopes/0'],
    [{ rateLimit: { requests: 0, perMs: 1000 } }, '/rateLimit/requests'],
    [{ colour: 'red' }, '/colour'],
  ];
  for (const [given, pointer] of rows) {
    const answer = await call('POST', '/v1/tokens', {
      body: { name: 'some', scopes: ['routes:read'], ...given },
    });
    t.match(answer, { status: 400, body: { errors: [{ pointer }] } }, JSON.stringify(given));
  }
  const whole = {
    name: 'whole',
    scopes: ['routes:*'],
    tenant: 'a',
    hostSuffixes: ['*.Example.com', 'example.com'],
    rateLimit: { requests: 5, perMs: 1_000 },
    expiresAt: '2999-01-01T00:00:00+01:00',
  };
  t.match(await call('POST', '/v1/tokens', { body: whole }), {
    status: 201,
    body: { ...whole, hostSuffixes: ['example.com'], expiresAt: '2998-12-31T23:00:00.000Z' },
  });
  const nothing = { name: 'nulls', scopes: ['admin'], tenant: null, hostSuffixes: null, expiresAt: null };
  t.match(await call('POST', '/v1/tokens', { body: nothing }), { status: 201, body: nothing });
});

t.test('nobody gives what it does not have', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const make = async (body: object, as = adminToken) => call('POST', '/v1/tokens', { body, ...bearer(as) });
  const expiresAt = '2999-01-01T00:00:00.000Z';
  const own = {
    name: 'a',
    scopes: ['tokens:*', 'routes:*'],
    tenant: 'a',
    hostSuffixes: ['a.example'],
    expiresAt,
  };
  const { token } = (await make(own)).body;
  t.match(await make({ name: 'b', scopes: ['certificates:read'] }, token), {
    status: 403,
    body: { code: 'forbidden', scope: 'certificates:read' },
  });
  t.equal((await make({ name: 'b', scopes: ['admin'] }, token)).status, 403);
  const scopes = ['routes:read'];
  t.match(await make({ name: 'b', scopes, tenant: 'b' }, token), {
    status: 403,
    body: { errors: [{ pointer: '/tenant' }] },
  });
  t.match(await make({ name: 'b', scopes, hostSuffixes: ['b.example'] }, token), {
    status: 403,
    body: { errors: [{ pointer: '/hostSuffixes/0' }] },
  });
  t.match(await make({ name: 'b', scopes, expiresAt: '2999-01-02T00:00:00Z' }, token), {
    status: 403,
    body: { errors: [{ pointer: '/expiresAt' }] },
  });
  t.match(await make({ name: 'b', scopes }, token), {
    status: 201,
    body: { tenant: 'a', hostSuffixes: ['a.example'], expiresAt },
  });
});

t.test('a tenant’s token knows of no tokens but the tenant’s', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const make = async (name: string, tenant?: string) =>
    (await call('POST', '/v1/tokens', { body: { name, scopes: ['tokens:*'], tenant } })).body;
  const [mine, other, everybodys] = [await make('mine', 'a'), await make('other', 'b'), await make('all')];
  const second = await make('second', 'a');
  const first = await call('GET', '/v1/tokens?limit=1', bearer(mine.token));
  const rest = await call('GET', `/v1/tokens?limit=1&cursor=${first.body.next}`, bearer(mine.token));
  t.same([...first.body.items, ...rest.body.items].map(({ id }) => id).sort(), [mine.id, second.id].sort());
  t.equal(rest.body.next, null);
  const missing = await call('GET', '/v1/tokens/000000000000', bearer(mine.token));
  for (const { id } of [other, everybodys]) {
    for (const method of ['GET', 'DELETE']) {
      const answer = await call(method, `/v1/tokens/${id}`, bearer(mine.token));
      const unnamed = JSON.stringify({ ...answer.body, instance: '' }).replaceAll(id, 'X');
      t.equal(unnamed, JSON.stringify({ ...missing.body, instance: '' }).replaceAll('000000000000', 'X'));
    }
    t.equal((await call('GET', `/v1/tokens/${id}`)).status, 200);
  }
});

t.test('a token holds at every control plane at once, and when it is revoked no longer', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.close());
  const sealers = createSealers(generateSecretKey());
  const folder = testFolder(t);
  const start = (name: string) =>
    startControlPlane(
      t,
      join(folder, name),
      {},
      { store: createRedisStore({ url: redis.url, prefix: 'tokens' }), sealers },
    );
  const [first, second] = [await start('first'), await start('second')];
  const { id, token } = (
    await first.call('POST', '/v1/tokens', { body: { name: 'a', scopes: ['routes:read'] } })
  ).body;
  t.equal((await second.call('GET', '/v1/routes', bearer(token))).status, 200);
  t.equal((await first.call('GET', '/v1/routes', bearer(token))).status, 200);
  const { revision } = (await first.call('GET', `/v1/tokens/${id}`)).body;
  const held = await first.call('DELETE', `/v1/tokens/${id}`, {
    headers: { 'if-match': `"${revision + 1}"` },
  });
  t.equal(held.status, 412);
  t.equal((await first.call('DELETE', `/v1/tokens/${id}`)).status, 204);
  t.equal((await first.call('DELETE', `/v1/tokens/${id}?missing=ok`)).status, 204);
  t.match(await first.call('GET', '/v1/routes', bearer(token)), {
    status: 401,
    body: { code: 'unauthorized' },
  });
  const refused = async () => (await second.call('GET', '/v1/routes', bearer(token))).status === 401;
  await waitFor(refused, { what: 'the other control plane to hear of it' });
  t.equal((await first.call('DELETE', `/v1/tokens/${id}`)).status, 404);

  const told = [];
  for (let cursor = '', pages = 0; pages < 10; pages += 1) {
    const { items, next } = (await second.call('GET', `/v1/audit?kind=token&limit=1${cursor}`)).body;
    told.push(...items.map(({ action, id }: { action: string; id: string }) => `${action} ${id}`));
    if (next === null) break;
    cursor = `&cursor=${next}`;
  }
  t.strictSame(told, [`deleted ${id}`, `created ${id}`]);
});

t.test('either of two admin tokens is the admin’s', async (t) => {
  const adminTokens = ['the-next-token-of-the-admin', adminToken];
  const { call } = await startControlPlane(t, testFolder(t), { adminTokens });
  for (const token of adminTokens) t.equal((await call('GET', '/v1/settings', bearer(token))).status, 200);
  t.equal((await call('GET', '/v1/settings', bearer(adminTokens.join(',')))).status, 401);
});

t.test('each operation says which scope it takes, and is refused without it', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const document = (await openapiDocument()) as OpenapiDocument;
  const { token } = (await call('POST', '/v1/tokens', { body: { name: 'a', scopes: ['events:read'] } })).body;
  for (const { path, method, operation } of operationsOf(document)) {
    if (!path.startsWith('/v1/')) {
      t.strictSame(operation.security, [], path);
      continue;
    }
    const needed = operation['x-scope'];
    t.type(needed, 'string', operation.operationId);
    if (needed === 'events:read') continue;
    const address = path.replaceAll(/\{\w+\}/g, 'some');
    const refused = await call(method.toUpperCase(), address, bearer(token));
    t.match(refused, { status: 403, body: { scope: needed } }, operation.operationId);
  }
});
