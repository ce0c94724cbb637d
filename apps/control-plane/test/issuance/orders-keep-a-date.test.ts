import { idleOrder, type OrderRecord, type PutIssuer } from '@lockstep/contract';
import { ariCertId } from '@lockstep/pki';
import t from 'tap';
import { putOrder, resetOrder } from '../../src/orders/order-record.ts';
import { startIssuance } from '../start-issuance.ts';

const host = 'shop.example.com';
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

t.test('a certificate for an hour is obtained once, and then renewed in its time', async (t) => {
  const world = await startIssuance(t, { type: 'internal', lifetimeHours: 1 } as PutIssuer);
  await world.name(host);
  await world.runDue();
  const { renewAt, attempts } = await world.order(host);
  t.equal(attempts, 1);
  const left = Date.parse((await world.certificate(host)).notAfter) - world.now();
  const wait = Date.parse(renewAt ?? '') - world.now();
  t.ok(wait > left / 4 && wait < left / 2, `renewed in ${Math.round(wait / minuteMs)} minutes`);
});

t.test(
  'a CA that gives no renewal information is asked once a minute, not for each certificate',
  async (t) => {
    const world = await startIssuance(t);
    const hosts = Array.from({ length: 6 }, (_, index) => `shop-${index}.example.com`);
    for (const name of hosts) await world.name(name);
    await world.runDue();
    const due = async () => {
      for (const name of hosts) {
        const { ari, ...order } = await world.order(name);
        const at = new Date(world.now()).toISOString();
        const value = { ...order, ari: { window: ari?.window ?? null, checkAt: at }, dueAt: at };
        await world.store.commit({ id: `due-${name}-${at}`, changes: [putOrder(name, value)] });
      }
      const before = world.front.counts.renewalInfo;
      await world.runDue();
      return world.front.counts.renewalInfo - before;
    };
    const end = world.front.faults.add('renewalInfo', { fault: 'answer', status: 503 });
    t.equal(await due(), 1);
    const dates = new Set<string>();
    for (const name of hosts) {
      const { ari, renewAt, lastError } = await world.order(name);
      t.match({ renewAt, lastError }, { renewAt: String, lastError: null });
      t.ok(Date.parse(ari?.checkAt ?? '') >= world.now() + hourMs - minuteMs);
      dates.add(ari?.checkAt ?? '');
    }
    t.ok(dates.size > 1, 'they do not all come again at the same moment');
    end();
    world.advanceTo(world.now() + 2 * minuteMs);
    t.equal(await due(), hosts.length, 'back: each asks again');
  },
);

t.test('a certificate of an account that is no more is renewed by the new one', async (t) => {
  const world = await startIssuance(t);
  await world.name(host);
  await world.runDue();
  const first = await world.certificate(host);
  // Another address of the same CA: another account there.
  await world.putIssuer('ca', { directory: `${world.front.directory}?again` });
  const replaces: unknown[] = [];
  world.front.faults.decide(({ kind, payload }) => {
    if (kind === 'newOrder') replaces.push((payload as { replaces?: string }).replaces);
    return null;
  });
  const dueAt = new Date(world.now()).toISOString();
  const order = resetOrder(await world.order(host), { renewal: 'asked', dueAt });
  await world.store.commit({ id: 'asked', changes: [putOrder(host, order)] });
  await world.runDue();
  t.equal(replaces[0], ariCertId(first.chain));
  t.equal(replaces.at(-1), undefined);
  t.match(await world.order(host), { lastError: null, renewal: null, failures: 0 });
  t.not((await world.certificate(host)).serialNumber, first.serialNumber);
});

t.test('an order whose issuer was deleted leaves no challenge behind', async (t) => {
  const world = await startIssuance(t);
  await world.name(host);
  const at = new Date(world.now()).toISOString();
  const placed = {
    ...(await world.order(host)),
    step: 'placed',
    issuer: 'gone',
    orderUrl: 'https://gone.example/order/1',
    challengeId: 'token',
    challengeType: 'http-01',
  } as const;
  await world.store.commit({
    id: 'placed',
    changes: [
      putOrder(host, placed),
      {
        op: 'put',
        kind: 'challenge',
        id: 'token',
        value: { type: 'http-01', host, token: 'token', keyAuthorization: 'token.x', createdAt: at },
      },
    ],
  });
  await world.runDue();
  t.equal(await world.store.get('challenge', 'token'), null);
  t.match(await world.certificate(host), { issuer: 'ca' }, 'and the chain has its turn');
});

t.test('of issuers at their limits, the one that is free first is waited for', async (t) => {
  const one = { count: 1, refillSeconds: 7_200 };
  const world = await startIssuance(t, { limits: { newOrders: one } });
  await world.putIssuer('later', { limits: { newOrders: { count: 1, refillSeconds: 86_400 } } });
  await world.setChain(['ca', 'later']);
  for (const index of [1, 2, 3]) await world.name(`shop-${index}.example.com`);
  const began = world.now();
  await world.runDue();
  const orders = await Promise.all([1, 2, 3].map((index) => world.order(`shop-${index}.example.com`)));
  const waiting = orders.filter(({ renewAt }) => renewAt === null);
  t.equal(waiting.length, 1, 'one at each issuer is through');
  const waitMs = Date.parse(waiting[0]?.dueAt ?? '') - began;
  t.ok(
    waitMs > hourMs && waitMs < 5 * hourMs,
    `the next turn is in ${Math.round(waitMs / minuteMs)} minutes`,
  );
  t.match(waiting[0], { step: 'idle', lastError: { type: /rateLimited/ } });
});

t.test('a fault of the program in a step leaves a date that grows, not a loop', async (t) => {
  const world = await startIssuance(t);
  const at = new Date(world.now()).toISOString();
  // Its secrets were sealed with another key: it cannot be made ready.
  await world.store.commit({
    id: 'broken',
    changes: [
      {
        op: 'put',
        kind: 'issuer',
        id: 'broken',
        value: {
          config: { type: 'acme', directory: world.front.directory, keyType: 'ecdsa-p256' },
          sealedSecrets: 'not sealed',
          createdAt: at,
          updatedAt: at,
        },
      },
    ],
  });
  await world.setChain(['broken']);
  await world.store.commit({ id: 'order', changes: [putOrder(host, idleOrder(host, at, at))] });
  const run = () => world.issuance.runner.run(host, new AbortController().signal);
  await t.rejects(run(), 'told to whoever runs it');
  const { failures, dueAt, lastError } = await world.order(host);
  t.match({ failures, lastError }, { failures: 1, lastError: { detail: String } });
  t.ok(Date.parse(dueAt ?? '') > world.now() + 50_000);
  world.advanceTo(Date.parse(dueAt ?? ''));
  await t.rejects(run());
  t.ok(Date.parse((await world.order(host)).dueAt ?? '') > world.now() + 5 * minuteMs);
});

t.test('an order under way is kept while the next issuer of the chain would not take it', async (t) => {
  const world = await startIssuance(t);
  await world.putIssuer('later');
  await world.setChain(['ca', 'later']);
  const end = world.front.faults.add('order', { fault: 'answer', status: 503 });
  await world.name(host);
  await world.runDue(async () => (await world.order(host)).orderUrl !== null);
  const { orderUrl, ...order } = await world.order(host);
  t.type(orderUrl, 'string');
  const until = new Date(world.now() + 24 * hourMs).toISOString();
  const setbacks = { later: { failures: 4, until } };
  await world.store.commit({ id: 'set-back', changes: [putOrder(host, { ...order, orderUrl, setbacks })] });
  while ((await world.order(host)).failures === 0) {
    await world.runDue();
    t.equal((await world.order(host)).orderUrl, orderUrl);
    await world.advanceToNext(Number.POSITIVE_INFINITY);
  }
  end();
  while ((await world.store.get('certificate', host)) === null) {
    await world.advanceToNext(Number.POSITIVE_INFINITY);
    await world.runDue();
  }
  t.equal(world.pebble.orderCount(), 1);
});

t.test('what an earlier version wrote is taken up: its orders have no queue, and fewer fields', async (t) => {
  const world = await startIssuance(t, { profile: 'default' }); // else Pebble picks one
  await world.name(host);
  await world.runDue();
  const first = await world.certificate(host);
  const at = new Date(world.now() - minuteMs).toISOString();
  const old = {
    ...{ host, step: 'idle', issuer: null, orderUrl: null, finalizeUrl: null, challengeUrl: null },
    ...{ challengeId: null, sealedKey: null, failures: 0, lastError: null, createdAt: at, dueAt: at },
    ...{ unusedSince: null, version: 1 },
  } as unknown as OrderRecord;
  const put = { op: 'put', kind: 'order', id: host, value: old, dueAt: Date.parse(at) } as const;
  await world.store.commit({ id: 'upgraded', changes: [put] });
  await world.runDue();
  const { renewAt, dueAt } = await world.order(host);
  t.equal((await world.certificate(host)).serialNumber, first.serialNumber, 'not due yet');
  t.ok(Date.parse(dueAt ?? '') > world.now() && renewAt !== null, `waits for ${dueAt}`);
  world.advanceTo(Date.parse(renewAt ?? ''));
  await world.runDue();
  t.not((await world.certificate(host)).serialNumber, first.serialNumber);
  await world.store.commit({ id: 'upgraded-2', changes: [put] });
  const before = await world.store.head();
  await world.issuance.replaceRevoked(host, before.number);
  t.equal((await world.order(host)).renewal, 'revoked');
  const [replaced] = (await world.store.readLog(before, 1)) ?? [];
  t.match(replaced, { by: { kind: 'stapler' }, cause: before.number }, 'and says what led to it');
});

t.test('a CA that does not answer is asked once a minute what CAA records call it', async (t) => {
  const world = await startIssuance(t);
  await world.name(host);
  await world.runDue();
  await world.putIssuer('ca', { preferredChain: 'another' }); // its account is known, its directory not yet
  const end = world.front.faults.add('directory', { fault: 'answer', status: 503 });
  const caa = async () => (await world.issuance.registry.find('ca'))?.caa(host, null);
  const before = world.front.counts.directory;
  await t.rejects(caa());
  await t.rejects(caa());
  t.equal(world.front.counts.directory - before, 1);
  end();
  world.advanceTo(world.now() + 2 * minuteMs);
  t.match(await caa(), { accountUrl: /^https:/ });
});
