import { join } from 'node:path';
import { AppError } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { type Commit, type ConfigStore, createSqliteStore } from '@lockstep/store';
import { testFolder } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { sweepDue } from '../../src/changes/sweep-due.ts';
import { startControlPlane } from '../start-control-plane.ts';

const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const keyed = (key: string) => ({ 'idempotency-key': key });

/** Two control planes over one store; the first has it as `alter` makes it. */
async function startTwo(t: Test, alter: (commit: Commit, make: ConfigStore['commit']) => Promise<unknown>) {
  const store = createSqliteStore({ path: ':memory:' });
  const altered = new Proxy(store, {
    get(target, name) {
      if (name !== 'commit') return Reflect.get(target, name, target);
      return (commit: Commit) => alter(commit, (one) => target.commit(one));
    },
  });
  const sealers = createSealers(generateSecretKey());
  const folder = testFolder(t);
  const first = await startControlPlane(t, join(folder, '1'), {}, { store: altered, sealers });
  const second = await startControlPlane(t, join(folder, '2'), {}, { store, sealers });
  return { store, first, second };
}

const asItIs = (commit: Commit, make: ConfigStore['commit']) => make(commit);
const kindsOf = ({ changes }: Commit) => changes.map(({ kind }) => kind);

t.test('what was made under a key is not made again, and is answered the same', async (t) => {
  const { store, first, second } = await startTwo(t, asItIs);
  const headers = keyed('7c9e6679-7425-40de-944b-e07fc1f90ae7');
  const made = await first.call('POST', '/v1/routes', { body: shop, headers });
  t.equal(made.status, 201);
  t.notOk(made.headers.has('idempotency-replayed'));
  const { number } = await store.head();
  for (const { call } of [first, second]) {
    const again = await call('POST', '/v1/routes', { body: { ...shop, paths: ['/'] }, headers });
    t.strictSame([again.status, again.text], [201, made.text]);
    for (const name of ['location', 'etag', 'content-type'])
      t.equal(again.headers.get(name), made.headers.get(name));
    t.equal(again.headers.get('idempotency-replayed'), 'true');
    t.not(again.headers.get('x-request-id'), made.headers.get('x-request-id'));
  }
  t.ok((await store.head()).number - number < 3, 'orders alone go on');
  t.equal(await store.count('route'), 1);

  const other = await second.call('POST', '/v1/routes', { body: { ...shop, paths: ['/b'] }, headers });
  t.match(other, { status: 422, body: { code: 'idempotency_key_reused' } });
  t.equal((await second.call('POST', '/v1/routes?x=1', { body: shop, headers })).status, 400);
  const elsewhere = await first.call('POST', '/v1/keys/rotate', { headers });
  t.match(elsewhere, { status: 422 }, 'another address');
  const bad = await first.call('POST', '/v1/routes', { body: shop, headers: keyed('a b') });
  t.match(bad, { status: 400, body: { errors: [{ pointer: 'Idempotency-Key' }] } });
});

t.test('of many repeats at once, at two control planes, one makes it', async (t) => {
  const { store, first, second } = await startTwo(t, asItIs);
  const answers = await Promise.all(
    Array.from({ length: 24 }, (_, index) => {
      const { call } = index % 2 === 0 ? first : second;
      const key = `key-${index % 4}`;
      return call('POST', '/v1/routes', { body: { ...shop, paths: [`/${index % 4}`] }, headers: keyed(key) });
    }),
  );
  t.ok(answers.every(({ status }) => status === 201));
  t.equal(answers.filter(({ headers }) => !headers.has('idempotency-replayed')).length, 4);
  t.equal(new Set(answers.map(({ text }) => text)).size, 4);
  t.equal(await store.count('route'), 4);
});

t.test('a control plane that ends between the commit and the answer has made it once', async (t) => {
  let lost = true;
  const { store, first, second } = await startTwo(t, async (commit, make) => {
    const position = await make(commit);
    // The commit is made, and nobody hears of it.
    if (lost && kindsOf(commit).includes('idempotency')) throw new AppError('store_unavailable', 'gone');
    return position;
  });
  for (const [key, more] of Object.entries({ first: {}, second: { id: 'named', paths: ['/b'] } })) {
    const body = { ...shop, ...more };
    const headers = keyed(key);
    t.equal((await first.call('POST', '/v1/routes', { body, headers })).status, 503);
    const again = await second.call('POST', '/v1/routes', { body, headers });
    t.match(again, { status: 201, body: more });
    t.equal(again.headers.get('idempotency-replayed'), 'true');
    lost = false;
    t.equal((await first.call('POST', '/v1/routes', { body, headers })).text, again.text);
    lost = true;
  }
  t.equal(await store.count('route'), 2);
  lost = false;
});

t.test('a token is made once, shown to whoever repeats the request, and nowhere in clear', async (t) => {
  let kept = true;
  const { store, first, second } = await startTwo(t, async (commit, make) => {
    // Its answer is not kept: the process has ended.
    if (!kept && kindsOf(commit).join() === 'idempotency') throw new AppError('store_unavailable', 'gone');
    return make(commit);
  });
  const body = { name: 'ci', scopes: ['routes:read'] };
  for (const keeps of [true, false]) {
    kept = keeps;
    const headers = keyed(`token-${keeps}`);
    const made = await first.call('POST', '/v1/tokens', { body, headers });
    const again = await second.call('POST', '/v1/tokens', { body, headers });
    t.match([made, again], [{ status: 201 }, { status: 201 }]);
    t.equal(again.body.token, made.body.token);
    const { items } = await store.list('idempotency', { limit: 10 });
    t.notMatch(JSON.stringify(items), made.body.token);
  }
  t.equal(await store.count('token'), 2);
});

t.test('what is refused keeps no key, and keys are each token’s own', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const headers = keyed('a');
  t.equal((await call('POST', '/v1/routes', { body: { hosts: [] }, headers })).status, 400);
  await call('PUT', '/v1/routes/first', { body: shop });
  t.equal((await call('POST', '/v1/routes', { body: shop, headers })).status, 409);
  const { body: token } = await call('POST', '/v1/tokens', {
    body: { name: 'ci', scopes: ['routes:write'] },
  });
  for (const more of [{}, { authorization: `Bearer ${token.token}` }]) {
    const body = { ...shop, paths: ['authorization' in more ? '/c' : '/b'] };
    const made = await call('POST', '/v1/routes', { body, headers: { ...headers, ...more } });
    t.equal(made.status, 201);
    t.notOk(made.headers.has('idempotency-replayed'));
  }
});

t.test('keys are forgotten after a day, and the oldest beyond so many', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  for (const path of ['/a', '/b', '/c'])
    await call('POST', '/v1/routes', { body: { ...shop, paths: [path] }, headers: keyed(path) });
  const { signal } = new AbortController();
  const now = Date.now();
  t.equal(await sweepDue({ store, kind: 'idempotency', now, most: 3, signal }), 0);
  t.equal(await sweepDue({ store, kind: 'idempotency', now, most: 2, signal }), 1);
  const again = await call('POST', '/v1/routes', { body: { ...shop, paths: ['/c'] }, headers: keyed('/c') });
  t.equal(again.status, 201);
  t.equal(await sweepDue({ store, kind: 'idempotency', now: now + 86_500_000, signal }), 2);
  const late = await call('POST', '/v1/routes', { body: { ...shop, paths: ['/c'] }, headers: keyed('/c') });
  t.equal(late.status, 409, 'a request like any other');
});
