import { randomUUID } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { type Hint, idleOrder, type OnDemand as OnDemandSettings } from '@lockstep/contract';
import { PutSettings } from '@lockstep/contract/schemas';
import { type ConfigStore, createRedisStore, createSqliteStore } from '@lockstep/store';
import { startRedis, startUpstream, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createOnDemand } from '../../src/on-demand/on-demand.ts';
import { createOrderQueue } from '../../src/orders/order-queue.ts';
import { putOrder } from '../../src/orders/order-record.ts';

const log = pino({ level: 'silent' });
const settingsOf = (onDemand: Partial<OnDemandSettings> | null) => {
  const current = PutSettings.parse({ onDemand });
  return { current: () => current };
};

/** Answers what `statuses` says of a host, 200 by default. */
async function startAsk(t: Test, statuses: Record<string, number> = {}) {
  const asked: string[] = [];
  let answer: RequestListener = ({ url = '' }, response) => {
    const host = new URL(url, 'http://ask').searchParams.get('domain') ?? '';
    response.writeHead(statuses[host] ?? 200, { location: '/login' }).end('a page');
  };
  const server = await startUpstream((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  t.teardown(() => server.close());
  return {
    url: `${server.url}/ask`,
    asked,
    set answer(listener: RequestListener) {
      answer = listener;
    },
  };
}

async function openStore(t: Test): Promise<ConfigStore> {
  const store = createSqliteStore({ path: ':memory:' });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  return store;
}

function start(
  t: Test,
  store: ConfigStore,
  onDemand: Partial<OnDemandSettings> | null,
  options: Partial<Parameters<typeof createOnDemand>[0]> = {},
) {
  const started = createOnDemand({
    store,
    settings: settingsOf(onDemand),
    queue: createOrderQueue({ store }),
    log,
    ...options,
  });
  t.teardown(() => started.close());
  return started;
}

/** Asks as an edge does, and gives back the first verdict on the host. */
async function askFor(store: ConfigStore, host: string): Promise<Extract<Hint, { hint: 'verdict' }>> {
  const { promise, resolve } = Promise.withResolvers<Extract<Hint, { hint: 'verdict' }>>();
  const unwatch = store.watchHints((hint) => {
    if (hint.hint === 'verdict' && hint.host === host) resolve(hint);
  });
  await store.sendHint({ hint: 'ask', host, node: 'edge-1' });
  return promise.finally(unwatch);
}

t.test('many handshakes for one name over two control planes make one question and one order', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.close());
  const prefix = `test-${randomUUID()}`;
  const stores: ConfigStore[] = [];
  for (let index = 0; index < 2; index += 1) {
    const store = createRedisStore({ url: redis.url, prefix });
    t.teardown(() => store.close());
    await store.open({ create: index === 0, expectedEpoch: null });
    stores.push(store);
  }
  const ask = await startAsk(t, { 'no.example.com': 404 });
  const planes = stores.map((store) =>
    start(t, store, { ask: `${ask.url}?key=a%20b`, totalPerMinute: 1_000 }),
  );
  const [edge] = stores as [ConfigStore];
  // Subscriptions are made in the background: until both hear, ask for a name that costs nothing.
  await waitFor(
    async () => {
      await edge.sendHint({ hint: 'ask', host: 'localhost', node: 'edge-1' });
      return planes.every(({ counts }) => counts.invalid > 0);
    },
    { what: 'both control planes to listen' },
  );

  for (const host of ['yes.example.com', 'no.example.com']) {
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => askFor(edge, host)));
    const allowed = host === 'yes.example.com';
    t.ok(verdicts.every((verdict) => verdict.allowed === allowed));
    t.strictSame(ask.asked.splice(0), [`/ask?key=a%20b&domain=${host}`]);
  }
  t.match(await edge.get('order', 'yes.example.com'), { value: { step: 'idle', onDemand: true } });
  t.equal((await edge.listDue('order', Date.now(), 10)).length, 1, 'due at once, in the first lane');
  t.equal(await edge.get('order', 'no.example.com'), null);
});

t.test('only a 2xx is a yes', async (t) => {
  const store = await openStore(t);
  const ask = await startAsk(t, { 'a.example.com': 302, 'b.example.com': 404, 'c.example.com': 503 });
  const { counts } = start(t, store, { ask: ask.url, refusedForSeconds: 300 });
  const before = Date.now();
  for (const host of ['a.example.com', 'b.example.com']) {
    const { allowed, until } = await askFor(store, host);
    t.equal(allowed, false, host);
    t.ok(until >= before + 300_000, 'remembered as long as the settings say');
  }
  const { allowed, until } = await askFor(store, 'c.example.com');
  t.equal(allowed, false);
  t.ok(until <= Date.now() + 10_000, 'an endpoint in trouble is asked again soon');
  t.match(counts, { refused: 2, unclear: 1 });
  t.strictSame(ask.asked.length, 3, 'and no redirect was followed');
  t.equal(await store.count('order'), 0);
});

t.test('an endpoint that does not answer is no yes', async (t) => {
  const store = await openStore(t);
  const ask = await startAsk(t);
  ask.answer = () => {};
  const { counts } = start(t, store, { ask: ask.url });
  const verdict = await askFor(store, 'shop.example.com');
  t.equal(verdict.allowed, false);
  t.equal(counts.unclear, 1);
});

t.test('an endpoint that cannot be reached is no yes', async (t) => {
  const store = await openStore(t);
  const { counts } = start(t, store, { ask: 'http://127.0.0.1:1/' });
  t.equal((await askFor(store, 'shop.example.com')).allowed, false);
  t.equal(counts.unclear, 1);
});

t.test('a refusal is remembered until it ends, or the settings name another endpoint', async (t) => {
  const store = await openStore(t);
  const ask = await startAsk(t, { 'shop.example.com': 403 });
  let now = Date.now();
  let settings = PutSettings.parse({ onDemand: { ask: ask.url, refusedForSeconds: 60 } });
  const { counts } = start(t, { ...store, acquireLease: async (name) => freeLease(name) }, null, {
    settings: { current: () => settings },
    now: () => now,
  });
  const host = 'shop.example.com';
  await askFor(store, host);
  t.equal((await askFor(store, host)).allowed, false);
  t.match(counts, { refused: 1, remembered: 1 });
  t.equal(ask.asked.length, 1);
  now += 60_000;
  t.equal((await askFor(store, host)).allowed, false);
  t.equal(ask.asked.length, 2);
  settings = PutSettings.parse({ onDemand: { ask: `${ask.url}/v2` } });
  ask.answer = (_, response) => response.end();
  t.equal((await askFor(store, host)).allowed, true);
});

/** Of a store whose clock has passed every lease: that one cannot be moved. */
function freeLease(name: string) {
  return { name, token: 1, expiresAt: Date.now() };
}

t.test('no more new names than the limit are asked about, by all control planes together', async (t) => {
  const store = await openStore(t);
  const ask = await startAsk(t);
  const planes = [1, 2].map(() => start(t, store, { ask: ask.url, totalPerMinute: 10 }));
  const hosts = Array.from({ length: 30 }, (_, index) => `shop-${index}.example.com`);
  const verdicts = await Promise.all(hosts.map((host) => askFor(store, host)));
  const allowed = verdicts.filter((verdict) => verdict.allowed);
  t.equal(allowed.length, 10);
  t.strictSame(ask.asked.toSorted(), allowed.map(({ host }) => `/ask?domain=${host}`).toSorted());
  t.equal(await store.count('order'), 10);
  const late = verdicts.find((verdict) => !verdict.allowed);
  t.ok(late!.until <= Date.now() + 6_000, 'the others may come again when there is one more');
  t.equal(
    planes.reduce((sum, { counts }) => sum + counts.allowed, 0),
    10,
  );
});

t.test(
  'what is there already is not asked about; a handshake waits only for an order whose turn comes in time',
  async (t) => {
    const store = await openStore(t);
    const ask = await startAsk(t);
    const { counts } = start(t, store, { ask: ask.url });
    const later = new Date(Date.now() + 60_000).toISOString();
    const soon = new Date(Date.now() + 5_000).toISOString();
    const waiting = { ...idleOrder('waits.example.com', later, later), failures: 3 };
    const route = { hosts: [], paths: ['/'], upstreams: [], createdAt: later, updatedAt: later };
    await store.commit({
      id: randomUUID(),
      changes: [
        putOrder('waits.example.com', waiting),
        putOrder('soon.example.com', idleOrder('soon.example.com', soon, soon)),
        { op: 'put', kind: 'route', id: 'shop', value: route, claims: ['*.example.org /'] },
      ],
    });
    t.match(await askFor(store, 'waits.example.com'), { allowed: false, until: Date.parse(later) });
    t.equal((await askFor(store, 'soon.example.com')).allowed, true);
    t.strictSame((await store.get('order', 'waits.example.com'))?.value, waiting);
    t.equal((await askFor(store, 'shop.example.org')).allowed, true);
    t.match(counts, { known: 2, waiting: 1 });
    t.equal(ask.asked.length, 0);
  },
);

t.test('an order in its grace time is taken up again when the endpoint says yes', async (t) => {
  const store = await openStore(t);
  const ask = await startAsk(t);
  start(t, store, { ask: ask.url });
  const later = new Date(Date.now() + 3_600_000).toISOString();
  const unused = { ...idleOrder('shop.example.com', later, later), unusedSince: later };
  await store.commit({ id: randomUUID(), changes: [putOrder('shop.example.com', unused)] });
  t.equal((await askFor(store, 'shop.example.com')).allowed, true);
  t.match(await store.get('order', 'shop.example.com'), { value: { unusedSince: null, onDemand: true } });
  t.equal((await store.listDue('order', Date.now(), 10)).length, 1);
});

t.test('names that nobody could certify are refused without a question', async (t) => {
  const store = await openStore(t);
  const ask = await startAsk(t);
  const { counts } = start(t, store, { ask: ask.url });
  const hosts = [
    'localhost',
    'co.uk',
    'github.io',
    '192.0.2.1',
    '::1',
    '*.example.com',
    'a_b.example.com',
    'A.example.com',
  ];
  for (const host of hosts) t.equal((await askFor(store, host)).allowed, false, host);
  t.equal(counts.invalid, hosts.length);
  t.equal(ask.asked.length, 0);
});

t.test('a flood of names never makes more questions at once than it may', async (t) => {
  const store = await openStore(t);
  const ask = await startAsk(t);
  let under = 0;
  let most = 0;
  const held: (() => void)[] = [];
  ask.answer = (_, response) => {
    under += 1;
    most = Math.max(most, under);
    held.push(() => {
      under -= 1;
      response.end();
    });
  };
  const { counts, allows } = start(t, store, { ask: ask.url, totalPerMinute: 1_000 }, { inFlight: 4 });
  for (let index = 0; index < 20; index += 1)
    await store.sendHint({ hint: 'ask', host: `shop-${index}.example.com`, node: 'edge-1' });
  const renewal = allows('renewed.example.com');
  await waitFor(() => under === 4, { what: 'four questions' });
  t.equal(counts.dropped, 16);
  const release = setInterval(() => held.shift()?.(), 1);
  t.teardown(() => clearInterval(release));
  t.equal(await renewal, true, 'a renewal waits for its turn');
  t.equal(most, 4);
});

t.test('a renewal is asked about anew, and an unclear answer is neither yes nor no', async (t) => {
  const store = await openStore(t);
  const ask = await startAsk(t, { 'no.example.com': 404, 'down.example.com': 500 });
  const { allows } = start(t, store, { ask: ask.url.replace('//', '//user:p%40ss@') });
  const authorizations: unknown[] = [];
  t.equal(await allows('yes.example.com'), true);
  t.equal(await allows('no.example.com'), false);
  await t.rejects(allows('down.example.com'), { code: 'upstream_unreachable', message: /it answered 500/ });
  ask.answer = ({ headers }, response) => {
    authorizations.push(headers.authorization);
    response.end();
  };
  await allows('yes.example.com');
  t.strictSame(authorizations, [`Basic ${Buffer.from('user:p@ss').toString('base64')}`]);
  t.equal(await start(t, store, null).allows('yes.example.com'), false, 'switched off');
});
