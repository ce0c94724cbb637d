import { randomUUID } from 'node:crypto';
import { createRedisStore } from '@lockstep/store';
import { startRedis, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { commitOf, putRoute, report } from '../conformance/records.ts';
import { surely } from '../conformance/surely.ts';
import { contentOf, followView } from '../conformance/view.ts';

t.test('a Redis that refuses for a while', async (t) => {
  const server = await startRedis({ args: ['--enable-debug-command', 'local', '--lua-time-limit', '100'] });
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());

  /** A control plane and a follower, of a user of their own whose rights the test may change. */
  async function start(t: Test) {
    const prefix = `test-${randomUUID()}`;
    await admin.acl('SETUSER', prefix, 'on', '>pw', '~*', '&*', '+@all');
    const url = server.url.replace('redis://', `redis://${prefix}:pw@`);
    const [store, follower] = [createRedisStore({ url, prefix }), createRedisStore({ url, prefix })];
    t.teardown(() => Promise.all([store.close(), follower.close()]));
    await store.open({ create: true, expectedEpoch: null });
    t.teardown(store.watchNodes(() => {}));
    const view = followView(t, follower.follow, null);
    await view.reached(await store.commit(commitOf(putRoute('a'))));
    await store.reportNode(report('n'));
    return { store, view, user: prefix };
  }

  async function goesOn({ store, view }: Awaited<ReturnType<typeof start>>): Promise<void> {
    await view.reached(await surely(store, commitOf(putRoute(`after-${randomUUID()}`))));
    await waitFor(() => store.reportNode(report('n')).then(() => true), { what: 'a report' });
    await waitFor(async () => (await store.listNodes()).length === 1, { what: 'the nodes' });
  }

  await t.test('scripts that are flushed are sent again', async (t) => {
    const fleet = await start(t);
    for (let i = 0; i < 5; i++) {
      await admin.script('FLUSH');
      await fleet.view.reached(await fleet.store.commit(commitOf(putRoute('b'))));
    }
    t.same(fleet.view.troubles, []);
  });

  await t.test('memory that is full refuses commits, and nothing that was there', async (t) => {
    const fleet = await start(t);
    await admin.config('SET', 'maxmemory', '1');
    t.teardown(() => admin.config('SET', 'maxmemory', '0'));
    await t.rejects(fleet.store.commit(commitOf(putRoute('b'))), {
      code: 'store_unavailable',
      message: /OOM/,
    });
    await t.rejects(fleet.store.reportNode(report('n')), { code: 'store_unavailable' });
    t.match(await fleet.store.get('route', 'a'), { id: 'a' });
    t.equal((await fleet.store.head()).number, 1);
    await admin.config('SET', 'maxmemory', '0');
    await goesOn(fleet);
    t.same(fleet.view.troubles, []);
  });

  await t.test('a server that is a replica for a while', async (t) => {
    const fleet = await start(t);
    await admin.replicaof('127.0.0.1', 1);
    t.teardown(() => admin.replicaof('NO', 'ONE'));
    await t.rejects(fleet.store.commit(commitOf(putRoute('b'))), {
      code: 'store_unavailable',
      message: /READONLY|lost/,
    });
    await admin.config('SET', 'replica-serve-stale-data', 'no');
    await waitFor(() => fleet.view.troubles.length > 0, { what: 'the follower to tell' });
    t.match(fleet.view.troubles[0], { code: 'store_unavailable' });
    await admin.config('SET', 'replica-serve-stale-data', 'yes');
    await admin.replicaof('NO', 'ONE');
    await goesOn(fleet);
    t.same(fleet.view.records, await contentOf(fleet.store));
  });

  await t.test('rights that are taken away and given back', async (t) => {
    const fleet = await start(t);
    await admin.acl('SETUSER', fleet.user, '-@all');
    await t.rejects(fleet.store.commit(commitOf(putRoute('b'))), { message: /NOPERM|lost/ });
    await t.rejects(fleet.store.head());
    await waitFor(() => fleet.view.troubles.length > 0, { what: 'the follower to tell' });
    await admin.acl('SETUSER', fleet.user, '+@all');
    await goesOn(fleet);
    await admin.acl('SETUSER', fleet.user, 'resetpass', '>another');
    await admin.call('CLIENT', 'KILL', 'USER', fleet.user);
    await waitFor(
      () =>
        fleet.store.head().then(
          () => false,
          () => true,
        ),
      { what: 'the old password to be refused' },
    );
    await admin.acl('SETUSER', fleet.user, '>pw');
    await goesOn(fleet);
  });

  await t.test('a server that stands still', async (t) => {
    const fleet = await start(t);
    await admin.call('CLIENT', 'PAUSE', '1500', 'ALL');
    await fleet.view.reached(await fleet.store.commit(commitOf(putRoute('b'))));
    const long = new Redis(server.url);
    t.teardown(() => long.disconnect());
    const endless = long.eval('while true do end', 0).catch(() => {});
    await waitFor(
      () =>
        fleet.store.head().then(
          () => false,
          (error) => /BUSY/.test(error.message),
        ),
      { what: 'the server to be busy' },
    );
    await t.rejects(fleet.store.commit(commitOf(putRoute('c'))), { code: 'store_unavailable' });
    await admin.script('KILL');
    await endless;
    await goesOn(fleet);
  });

  await t.test('connections that are cut, of every sort, at any time', async (t) => {
    const fleet = await start(t);
    for (let i = 0; i < 60; i++) {
      const type = Math.floor(i / 20) === 1 ? 'pubsub' : 'normal';
      const cut = i % 2 === 0 ? admin.call('CLIENT', 'KILL', 'TYPE', type, 'USER', fleet.user) : null;
      await Promise.all([surely(fleet.store, commitOf(putRoute(`r${i % 9}`))), cut]);
    }
    await goesOn(fleet);
    t.same(fleet.view.records, await contentOf(fleet.store));
    t.equal(fleet.view.seen.filter((type) => type === 'snapshot').length, 1);
  });
});
