import { idleOrder } from '@lockstep/contract';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { createRetryFailed } from '../../src/issuance/retry-failed.ts';
import { laneOf, putOrder } from '../../src/orders/order-record.ts';
import { byAdmin } from '../by-admin.ts';
import { startControlPlane } from '../start-control-plane.ts';
import { startIssuance } from '../start-issuance.ts';

t.test('hosts that an issuer failed are tried again soon once it is well, and none else', async (t) => {
  const world = await startIssuance(t);
  const hosts = ['a.example.com', 'b.example.com', 'c.example.com'];
  for (const host of hosts) await world.name(host);
  world.front.faults.add('newOrder', { fault: 'drop', when: 'before' });
  for (let failures = 0; failures < 3; failures += 1) {
    await world.runDue();
    for (let host = 0; host < hosts.length; host += 1) await world.advanceToNext(Number.POSITIVE_INFINITY);
  }
  await world.runDue();
  const later = new Date(world.now() + 86_400_000).toISOString();
  const error = { detail: 'nobody there', issuer: 'ca', step: 'validating', at: later };
  const unproven = { ...error, type: 'urn:ietf:params:acme:error:connection' };
  const broken = { ...idleOrder('broken.example.com', later, later), failures: 3, unproven: 3 };
  const other = { failures: 3, until: later };
  await world.store.commit({
    id: 'others',
    changes: [
      putOrder('broken.example.com', { ...broken, lastError: unproven }),
      putOrder('other.example.com', { ...broken, unproven: 0, setbacks: { another: other } }),
    ],
  });

  world.front.faults.clear();
  world.advanceTo(world.now() + 61_000); // until then a CA that did not answer is left alone
  const retryFailed = createRetryFailed({ store: world.store, now: world.now });
  const told = { certificates: 0 };
  await retryFailed(byAdmin, 'ca', told);
  t.equal(told.certificates, 3);
  const woken = await Promise.all(hosts.map(world.order));
  const inMs = woken.map(({ dueAt }) => Date.parse(dueAt ?? '') - world.now());
  t.ok(Math.max(...inMs) <= 300, 'soon');
  t.equal(new Set(woken.map(({ dueAt }) => dueAt)).size, 3, 'one after another');
  t.strictSame(woken.map(laneOf), ['retry', 'retry', 'retry'], 'and not before those that never failed');
  world.advanceTo(world.now() + 1_000);
  await world.runDue();
  for (const host of hosts) t.equal((await world.certificate(host)).issuer, 'ca');
  for (const host of ['broken', 'other']) t.equal((await world.order(`${host}.example.com`)).dueAt, later);
  await retryFailed(byAdmin, 'ca', told);
  t.equal(told.certificates, 3, 'nothing is left to be tried');
});

t.test('POST /v1/issuers/{name}/retry says how many certificates are tried again', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const later = new Date(Date.now() + 86_400_000).toISOString();
  for (const name of ['a', 'b']) {
    const order = idleOrder(`${name}.example.com`, later, later);
    const setbacks = { internal: { failures: 4, until: later } };
    await store.commit({ id: name, changes: [putOrder(order.host, { ...order, failures: 4, setbacks })] });
  }
  t.match(await call('POST', '/v1/issuers/internal/retry'), {
    status: 202,
    body: { issuer: 'internal', certificates: 2 },
  });
  t.equal((await call('POST', '/v1/issuers/nowhere/retry')).status, 404);
});
