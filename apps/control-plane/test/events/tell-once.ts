import { createSqliteStore } from '@lockstep/store';
import { nodeReport, unavailable } from '@lockstep/testkit';
import type { Test } from 'tap';
import { startIssuance } from '../start-issuance.ts';
import { type Death, startObservers } from './start-observers.ts';

/** All that is told of nodes and of the fleet, from what nodes do. */
export async function tellsOfNodesOnce(t: Test, death: Death): Promise<void> {
  let offsetMs = 0;
  const now = () => Date.now() + offsetMs;
  const store = createSqliteStore({ path: ':memory:', now });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const well = async (node: string) =>
    store.reportNode(nodeReport(node, { applied: await store.head(), clock: now() }));
  const observers = await startObservers(t, {
    ...{ store, now, death },
    onDeath: () => {
      offsetMs += 7_000;
    },
  });
  const { until } = observers;
  const other = () => well('edge-2');

  await until('node.joined', 2, () => Promise.all([well('edge-1'), other()]));
  await until('fleet.in_step', 1, () => Promise.all([well('edge-1'), other()]));

  // It goes on reporting, and takes no more commits.
  const stood = await store.head();
  await store.commit({ id: 'one', changes: [{ op: 'put', kind: 'settings', id: 'x', value: {} as never }] });
  const stands = async () => {
    offsetMs += 300;
    await other();
    await store.reportNode(nodeReport('edge-1', { applied: stood, clock: now() }));
  };
  await until('node.behind', 1, stands);
  await until('fleet.out_of_step', 1, stands);
  await until('fleet.in_step', 2, () => Promise.all([well('edge-1'), other()]));

  const refusals = [{ kind: 'staple', id: 'a', revision: 1, reason: 'is broken' }] as const;
  const refuses = async (more: object = {}) => {
    offsetMs += 300;
    await other();
    const report = nodeReport('edge-1', { applied: await store.head(), clock: now() });
    await store.reportNode({ ...report, refusals: [...refusals], ...more } as never);
  };
  await until('node.refused', 1, refuses);
  await until('fleet.out_of_step', 2, refuses);
  await until('node.behind', 2, refuses);
  await until('node.refused', 2, () => refuses({ refusals: [{ ...refusals[0], revision: 2 }] }));
  await until('fleet.in_step', 3, () => Promise.all([well('edge-1'), other()]));

  const drained = { since: new Date(now()).toISOString(), connections: 0 };
  const drains = async () => {
    await other();
    const report = nodeReport('edge-1', { applied: await store.head(), clock: now() });
    await store.reportNode({ ...report, drained } as never);
  };
  await until('node.drained', 1, drains);
  await until('node.lost', 1, () => {
    offsetMs += 300;
    return other();
  });
  await until('node.joined', 3, () => Promise.all([well('edge-1'), other()]));
  await store.removeNode('edge-1', 'instance of edge-1', { returns: false });
  await until('node.left', 1, other);

  const counts = await observers.counts();
  t.match(counts, {
    'node.joined edge-1': 2,
    'node.joined edge-2': 1,
    'node.behind edge-1': 2,
    'node.refused edge-1': 2,
    'node.drained edge-1': 1,
    'node.lost edge-1': 1,
    'node.left edge-1': 1,
    'fleet.in_step fleet': 3,
    'fleet.out_of_step fleet': 2,
  });
  t.comment(JSON.stringify(counts));
  if (death !== 'never') t.ok(observers.died.size >= 8, `died at ${[...observers.died]}`);
}

/** All that is told of certificates, of their issuers and limits, and of routes, from what a CA does. */
export async function tellsOfCertificatesOnce(t: Test, death: Death): Promise<void> {
  const world = await startIssuance(t);
  // Pebble takes any of its profiles for who names none.
  const profile = world.pebble.offersRenewalInfo ? { profile: 'default' } : {};
  await world.putIssuer('ca', {
    ...profile,
    limits: { newOrders: { count: 5, refillSeconds: 86_400 * 365 } },
  });
  const { store, front, now } = world;
  const observers = await startObservers(t, {
    ...{ store, now, death },
    onDeath: () => world.advanceTo(now() + 7_000),
  });
  const { until } = observers;
  const issued = async (host: string) => (await store.get('certificate', host)) !== null;

  await world.name('a.example.com');
  await world.runUntil(() => issued('a.example.com'));
  await until('certificate.issued');
  await until('route.live', 1, world.runDue);

  front.faults.add('newOrder', unavailable());
  await world.name('b.example.com');
  await world.runDue();
  await until('certificate.failed');
  await until('issuer.failing');
  await until('route.failed');
  front.faults.clear();
  await world.runUntil(() => issued('b.example.com'));
  await until('issuer.recovered');
  await until('route.live', 2, world.runDue);

  // One after another, until what is left of the limit is kept for those who wait.
  const hosts = ['a.example.com', 'b.example.com'];
  const held = async (host: string) =>
    Date.parse((await world.order(host)).dueAt ?? '') - now() > 86_400_000 && !(await issued(host));
  for (let near = false; !near; ) {
    const host = `c${hosts.length}.example.com`;
    await world.name(host);
    await world.runUntil(async () => (await issued(host)) || (await held(host)));
    near = await held(host);
    if (near) await world.unname(host);
    else hosts.push(host);
  }
  await until('limit.near');
  await until('route.live', hosts.length, world.runDue);

  await world.putIssuer('ca', profile);
  const { fingerprint256 } = await world.certificate('a.example.com');
  world.advanceTo(Date.parse((await world.order('a.example.com')).renewAt ?? ''));
  await world.runUntil(
    async () => (await world.certificate('a.example.com')).fingerprint256 !== fingerprint256,
  );
  await until('certificate.renewed');

  const { notBefore, notAfter } = await world.certificate('a.example.com');
  const lifetimeMs = Date.parse(notAfter) - Date.parse(notBefore);
  world.advanceTo(Date.parse(notAfter) - lifetimeMs / 7);
  await until('certificate.expiring', hosts.length);

  const counts = await observers.counts();
  // Those of the others may have been due at the same moment.
  const renewed = hosts.filter((host) => counts[`certificate.renewed ${host}`] !== undefined);
  t.ok(renewed.includes('a.example.com'));
  const once = (type: string, ...ids: string[]) =>
    Object.fromEntries(ids.map((id) => [`${type} ${id}`, 1] as const));
  t.match(counts, {
    ...once('route.created', ...hosts),
    ...once('certificate.issued', ...hosts),
    ...once('route.live', ...hosts),
    ...once('certificate.expiring', ...hosts),
    ...Object.fromEntries(renewed.map((id) => [`certificate.renewed ${id}`, 1])),
    ...once('route.failed', 'b.example.com'),
    ...once('issuer.failing', 'ca'),
    ...once('issuer.recovered', 'ca'),
  });
  const failed = (await store.get('attempts', 'b.example.com'))?.value.attempts.filter(
    ({ outcome }) => outcome === 'failed',
  );
  t.equal(counts['certificate.failed b.example.com'], failed?.length);
  t.equal(Object.keys(counts).filter((name) => name.startsWith('limit.near ')).length, 1);
  t.comment(JSON.stringify(counts));
  if (death !== 'never') t.ok(observers.died.size >= 6, `died at ${[...observers.died]}`);
}
