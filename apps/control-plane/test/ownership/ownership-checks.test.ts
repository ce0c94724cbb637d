import { type OwnershipRecord, type RouteRecord, waitingClaimPrefix } from '@lockstep/contract';
import { type Change, createSqliteStore } from '@lockstep/store';
import { pino } from 'pino';
import t from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { createOwnershipChecks } from '../../src/ownership/ownership-checks.ts';
import { newOwnership, putOwnership } from '../../src/ownership/put-ownership.ts';
import type { Verdict } from '../../src/ownership/verdicts.ts';

const log = pino({ level: 'silent' });

t.test('a tenant whose DNS is dead holds up the looks of no other', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const now = Date.now();
  const waiting = (host: string, tenant: string, checks: number): Change[] => {
    const route: RouteRecord = { hosts: [host], paths: ['/'], tenant, createdAt: '', updatedAt: '' };
    const value: OwnershipRecord = { ...newOwnership({ host, tenant, now }), checks };
    const claims = [`${waitingClaimPrefix(host, tenant)}/`];
    return [{ op: 'put', kind: 'route', id: host, value: route, claims }, putOwnership(value)];
  };
  const dead = Array.from({ length: 100 }, (_, index) => waiting(`dead${index}.test`, 'alpha', index % 2));
  await store.commit({ id: 'dead', changes: dead.flat() });
  const well = [0, 1].flatMap((checks) => waiting(`well${checks}.test`, 'beta', checks));
  await store.commit({ id: 'well', changes: well });
  const hub = await createChangeHub({ store, log });
  t.teardown(() => hub.close());

  const over = Promise.withResolvers<Verdict>();
  const judged = new Set<string>();
  const all = Promise.withResolvers<void>();
  const checks = createOwnershipChecks({
    store,
    hub,
    settings: { refresh: async () => {} },
    async judge({ host, tenant }) {
      if (tenant === 'alpha') return over.promise;
      judged.add(host);
      if (judged.size === 2) all.resolve();
      return { may: 'wait', detail: 'no', requirements: [] };
    },
    take: async () => 'changed',
    log,
    now: Date.now,
  });
  t.teardown(() => {
    over.resolve({ may: 'wait', detail: 'no', requirements: [] });
    return checks.close();
  });
  await all.promise;
  t.same([...judged].sort(), ['well0.test', 'well1.test'], 'first looks, and others');
});
