import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { AppError, idleOrder } from '@lockstep/contract';
import { createSealers, generateSecretKey } from '@lockstep/pki';
import { type Commit, type ConfigStore, createSqliteStore } from '@lockstep/store';
import { testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { sweepDue } from '../../src/changes/sweep-due.ts';
import { keyKeptMs, putKey } from '../../src/idempotency/keyed-request.ts';
import { putOrder } from '../../src/orders/order-record.ts';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const keyed = (key: string) => ({ 'idempotency-key': key });

/** Two control planes over one store; the first has it as `alter` makes it, with what `more` has in place of its own. */
async function startTwo(
  t: Test,
  alter: (commit: Commit, make: ConfigStore['commit']) => Promise<unknown>,
  more: (store: ConfigStore) => Partial<ConfigStore> = () => ({}),
) {
  const store = createSqliteStore({ path: ':memory:' });
  const altered = new Proxy(store, {
    get(target, name) {
      const other = more(target)[name as keyof ConfigStore];
      if (other !== undefined) return other;
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

/** The first is gone right after its commit of a record of the kind: it is made, and nobody hears of it. */
async function startTwoOfWhichOneEnds(t: Test, kind: Commit['changes'][number]['kind'] = 'idempotency') {
  const end = { comes: true, came: false };
  const gone = () => new AppError('store_unavailable', 'gone');
  const two = await startTwo(
    t,
    async (commit, make) => {
      const position = await make(commit);
      if (!kindsOf(commit).includes(kind)) return position;
      end.came = end.comes;
      throw gone();
    },
    (target) => ({
      async get(asked, id) {
        if (end.came && asked === 'idempotency') throw gone();
        return target.get(asked, id);
      },
    }),
  );
  return { ...two, end };
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
  const { store, first, second, end } = await startTwoOfWhichOneEnds(t);
  for (const [key, more] of Object.entries({ first: {}, second: { id: 'named', paths: ['/b'] } })) {
    const body = { ...shop, ...more };
    const headers = keyed(key);
    t.equal((await first.call('POST', '/v1/routes', { body, headers })).status, 503);
    const again = await second.call('POST', '/v1/routes', { body, headers });
    t.match(again, { status: 201, body: more });
    t.equal(again.headers.get('idempotency-replayed'), 'true');
    end.came = false;
    t.equal((await first.call('POST', '/v1/routes', { body, headers })).text, again.text);
  }
  t.equal(await store.count('route'), 2);
  end.comes = false;
  const body = { ...shop, paths: ['/c'] };
  const made = await first.call('POST', '/v1/routes', { body, headers: keyed('third') });
  t.match(made, { status: 201 }, 'one that did not end finds out for itself');
  t.equal((await second.call('POST', '/v1/routes', { body, headers: keyed('third') })).body.id, made.body.id);
  t.equal(await store.count('route'), 3);
});

t.test(
  'a control plane that stood still while another made it gives that one’s answer, and no refusal',
  async (t) => {
    // It has each lease for a moment only, and goes on as if it had it.
    const leases = (store: ConfigStore) => ({
      async acquireLease(name: string, ttlMs: number) {
        const lease = await store.acquireLease(name, ttlMs);
        if (lease !== null && name.startsWith('idempotency/')) await store.releaseLease(lease);
        return lease;
      },
    });
    const body = { ...shop, id: 'named' };
    const headers = keyed('paused');
    let other: Promise<Awaited<ReturnType<typeof second.call>>> | undefined;
    const stood = Promise.withResolvers<void>();
    const { store, first, second } = await startTwo(
      t,
      async (commit, make) => {
        if (kindsOf(commit).includes('idempotency') && other === undefined) {
          // The other has made it, and waits for edges that are not there: it has no answer yet.
          other = second.call('POST', '/v1/routes', { body, headers: { ...headers, prefer: 'wait=2' } });
          await waitFor(async () => (await store.count('route')) === 1, { what: 'the other to make it' });
          stood.resolve();
          // As if its own check came before its commit.
          throw new AppError('revision_conflict', 'it changed', { facts: { kind: 'route', id: 'named' } });
        }
        return make(commit);
      },
      leases,
    );
    const [one] = await Promise.all([
      first.call('POST', '/v1/routes', { body, headers: { ...headers, prefer: 'wait=2' } }),
      stood.promise,
    ]);
    t.match([one.status, (await other)?.status], [202, 202]);
    t.equal(one.text, (await other)?.text);
    t.equal(one.headers.get('idempotency-replayed'), 'true');
    const { body: told } = await second.call('GET', '/v1/events?limit=100&type=route.created');
    t.equal(told.items.length, 1);
  },
);

t.test('a drain that was made and never answered is not made again by its repeat', async (t) => {
  const { store, first, second } = await startTwoOfWhichOneEnds(t, 'drain');
  await second.report('edge-1');
  await waitFor(async () => (await first.call('GET', '/v1/nodes/edge-1')).status === 200, {
    what: 'the edge',
  });
  const headers = keyed('once');
  const path = '/v1/nodes/edge-1/drain';
  t.equal((await first.call('POST', path, { headers })).status, 503);
  t.ok(await store.get('drain', 'edge-1'));
  t.equal((await second.call('POST', '/v1/nodes/edge-1/undrain')).status, 202);
  const again = await second.call('POST', path, { headers });
  t.match(again, { status: 202, body: { id: 'edge-1' } });
  t.equal(again.headers.get('idempotency-replayed'), 'true');
  t.equal(await store.get('drain', 'edge-1'), null, 'what others decided since then stands');
});

t.test(
  'a certificate that was brought and never answered is told as made to whoever repeats it',
  async (t) => {
    const { store, first, second, end } = await startTwoOfWhichOneEnds(t);
    for (const more of [{}, { issuer: 'internal' }]) {
      const body = { ...(await makeCertificate('b.example.com')), ...more };
      const headers = keyed(`certificate ${Object.keys(more)}`.replaceAll(' ', '-'));
      t.equal((await first.call('POST', '/v1/certificates', { body, headers })).status, 503);
      const again = await second.call('POST', '/v1/certificates', { body, headers });
      t.match(again, { status: 201, body: { origin: 'issuer' in more ? 'managed' : 'brought' } });
      t.equal(again.headers.get('location'), `/v1/certificates/${again.body.id}`);
      t.equal(again.headers.get('idempotency-replayed'), 'true');
      end.came = false;
      t.equal((await first.call('POST', '/v1/certificates', { body, headers })).text, again.text);
      t.equal(
        (await second.call('POST', '/v1/certificates', { body })).status,
        200,
        'without a key it was there',
      );
    }
    t.equal(await store.count('certificate'), 2);
  },
);

t.test('work of many commits that a control plane left undone is gone on with by its repeat', async (t) => {
  const { store, first, second, end } = await startTwoOfWhichOneEnds(t);
  const later = new Date(Date.now() + 86_400_000).toISOString();
  const setbacks = { internal: { failures: 4, until: later } };
  const hosts = Array.from({ length: 150 }, (_, index) => `h${index}.example.com`);
  await store.commit({
    id: randomUUID(),
    changes: hosts.map((host) => putOrder(host, { ...idleOrder(host, later, later), failures: 4, setbacks })),
  });
  const heldBack = async () =>
    (await store.getMany('order', hosts)).filter((order) => order?.value.setbacks.internal?.until === later)
      .length;
  const path = '/v1/issuers/internal/retry';
  const headers = keyed('retry');
  t.equal((await first.call('POST', path, { headers })).status, 503);
  t.equal(await heldBack(), 50, 'a page was made');
  const again = await second.call('POST', path, { headers });
  t.match(again, { status: 202, body: { certificates: 150 } });
  t.equal(again.headers.get('idempotency-replayed'), 'true');
  t.equal(await heldBack(), 0);
  Object.assign(end, { comes: false, came: false });
  t.equal((await first.call('POST', path, { headers })).text, again.text);
  t.equal((await second.call('POST', '/v1/issuers/nobody/retry', { headers })).status, 422);
});

t.test('a check of a route is answered once more, and looked for once', async (t) => {
  const { first, second } = await startTwo(t, asItIs);
  await first.call('PATCH', '/v1/settings', { body: { resolvers: ['127.0.0.1:1'] } });
  await first.call('PUT', '/v1/routes/shop', { body: shop });
  const headers = keyed('check');
  const checked = await first.call('POST', '/v1/routes/shop/check', { headers });
  t.match(checked, { status: 200, body: { route: 'shop' } });
  await first.call('DELETE', '/v1/routes/shop');
  const again = await second.call('POST', '/v1/routes/shop/check', { headers });
  t.strictSame([again.status, again.text], [200, checked.text]);
  t.equal(again.headers.get('idempotency-replayed'), 'true');
  t.equal((await second.call('POST', '/v1/routes/other/check', { headers })).status, 422);
});

t.test('whoever repeats a request is answered without a turn of its own', async (t) => {
  const never = () => ({ acquireLease: async () => null });
  const { first, second } = await startTwo(t, asItIs, never);
  const headers = keyed('a');
  const made = second.call('POST', '/v1/routes', { body: shop, headers: { ...headers, prefer: 'wait=1' } });
  const repeats = await Promise.all(
    Array.from({ length: 20 }, () => first.call('POST', '/v1/routes', { body: shop, headers })),
  );
  for (const { status, text } of repeats) t.same([status, text], [202, (await made).text]);
});

t.test('one key of two requests at once is that of one of them', async (t) => {
  const { store, first, second } = await startTwo(t, asItIs);
  for (const key of ['a', 'b'.repeat(255)]) {
    const before = await store.count('route');
    const body = { ...shop, paths: [`/${key.length}`] };
    const answers = await Promise.all([
      first.call('POST', '/v1/routes', { body, headers: keyed(key) }),
      second.call('POST', '/v1/routes', {
        body: { ...body, paths: [`/${key.length}/x`] },
        headers: keyed(key),
      }),
      second.call('POST', '/v1/tokens', {
        body: { name: 'ci', scopes: ['routes:read'] },
        headers: keyed(key),
      }),
    ]);
    t.same(answers.map(({ status }) => status).sort(), [201, 422, 422]);
    t.equal((await store.count('route')) - before + (await store.count('token')), 1);
  }
  for (const key of ['', 'b'.repeat(256)])
    t.equal((await first.call('POST', '/v1/routes', { body: shop, headers: keyed(key) })).status, 400);
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

t.test('a key whose day is over is free, before it is swept too', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  await call('POST', '/v1/routes', { body: shop, headers: keyed('a') });
  const { items } = await store.list('idempotency', { limit: 1 });
  const [{ id, value }] = items as [(typeof items)[number]];
  const old = { ...value, at: new Date(Date.now() - keyKeptMs).toISOString() };
  await store.commit({ id: randomUUID(), changes: [putKey(id, old)] });
  const body = { ...shop, paths: ['/b'] };
  const made = await call('POST', '/v1/routes', { body, headers: keyed('a') });
  t.match([made.status, made.headers.get('idempotency-replayed')], [201, null]);
  const again = await call('POST', '/v1/routes', { body, headers: keyed('a') });
  t.match([again.text, again.headers.get('idempotency-replayed')], [made.text, 'true']);
  t.match(await call('POST', '/v1/routes', { body: shop, headers: keyed('a') }), { status: 422 });
});
