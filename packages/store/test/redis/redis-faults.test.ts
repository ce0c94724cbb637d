import { randomUUID } from 'node:crypto';
import { createRedisStore } from '@lockstep/store';
import { type RedisServer, startCuttingProxy, startRedis, waitFor } from '@lockstep/testkit';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { checkHistory, clients, runClient } from '../conformance/history.ts';
import { commitOf, putRoute } from '../conformance/records.ts';
import { contentOf, followView } from '../conformance/view.ts';

t.test('faults of Redis and of the way to it', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());

  await t.test('a commit whose answer is lost is made exactly once when repeated', async (t) => {
    // Any answer but those of the handshake, which has no commit to lose.
    let seed = 1;
    const chance = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const proxy = await startCuttingProxy(server.port, (answer) => answer.length < 2_000 && chance() < 0.1);
    t.teardown(() => proxy.close());
    await fc.assert(
      fc.asyncProperty(clients, async (plans) => {
        const prefix = `test-${randomUUID()}`;
        const sound = createRedisStore({ url: server.url, prefix });
        await sound.open({ create: true, expectedEpoch: null });
        const view = followView(t, createFollower(t, proxy.url, prefix), null);
        const cut = plans.map(() => createRedisStore({ url: proxy.url, prefix }));
        await Promise.all(
          cut.map((store) =>
            waitFor(() => store.open({ create: false, expectedEpoch: null }), { what: 'open' }),
          ),
        );
        const done = (await Promise.all(plans.map((steps, n) => runClient(cut[n]!, steps)))).flat();
        const model = await checkHistory(t, sound, done);
        const logged = await sound.readLog({ epoch: sound.epoch!, number: 0, commitId: '' }, 1_000);
        const ids = logged?.map(({ position }) => position.commitId) ?? [];
        t.equal(new Set(ids).size, ids.length, 'no commit id was made twice');
        await view.until(() => view.position !== null);
        await view.reached(await sound.head());
        t.same(view.records, model.content());
        await view.close();
        await Promise.all([sound, ...cut].map((store) => store.close()));
      }),
      { numRuns: 6 },
    );
    t.ok(proxy.cuts > 10, `${proxy.cuts} connections were cut`);
  });

  await t.test('followers miss and repeat nothing while their subscriptions are killed', async (t) => {
    const { store, prefix } = await openStore(t, server);
    const admin = new Redis(server.url);
    t.teardown(() => admin.disconnect());
    const view = followView(t, createFollower(t, server.url, prefix), await store.head());
    await view.until(() => view.seen.includes('current'));
    for (let i = 0; i < 200; i++) {
      await store.commit(commitOf(putRoute(`r${i % 10}`)));
      if (i % 40 === 20) await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
    await view.reached(await store.head());
    t.equal(view.seen.filter((type) => type === 'commit').length, 200);
    t.notOk(view.seen.includes('snapshot'));
    t.same(view.records, await contentOf(store));
  });

  await t.test('a follower without announcements still hears of commits', async (t) => {
    const { store, prefix } = await openStore(t, server);
    const channels = new Redis(server.url);
    t.teardown(() => channels.disconnect());
    await channels.acl('SETUSER', `deaf-${prefix}`, 'on', '>pw', '~*', '+@all', '-subscribe');
    const url = server.url.replace('redis://', `redis://deaf-${prefix}:pw@`);
    const view = followView(t, createFollower(t, url, prefix), await store.head());
    await view.until(() => view.seen.includes('current'));
    await view.reached(await store.commit(commitOf(putRoute('a'))));
    t.same(view.ids(), ['route/a']);
  });

  await t.test('killed and started again: everything is there, and followers go on', async (t) => {
    const own = await startRedis({ args: ['--appendfsync', 'always'] });
    t.teardown(() => own.close());
    const { store, prefix } = await openStore(t, own);
    const view = followView(t, createFollower(t, own.url, prefix), null);
    await view.reached(await store.commit(commitOf(putRoute('before'))));
    const lease = await store.acquireLease('one', 600_000);
    await own.kill();
    await t.rejects(store.commit(commitOf(putRoute('lost'))), { code: 'store_unavailable' });
    await t.rejects(store.get('route', 'before'), { code: 'store_unavailable' });
    await view.until(() => view.troubles.length > 0);
    t.match(view.troubles[0], { code: 'store_unavailable' });
    await own.start();
    const head = await waitFor(() => store.commit(commitOf(putRoute('after'))), { what: 'a commit' });
    t.equal(head.number, 2);
    await view.reached(head);
    await view.until(() => view.troubles.at(-1) === null);
    t.same(view.ids(), ['route/after', 'route/before']);
    t.equal(view.seen.filter((type) => type === 'snapshot').length, 1, 'no second snapshot');
    t.equal(await store.acquireLease('one', 1_000), null, 'the lease is still held');
    await store.releaseLease(lease!);
  });

  await t.test('a wiped store refuses commits, and its followers keep what they have', async (t) => {
    const own = await startRedis();
    t.teardown(() => own.close());
    const { store, prefix } = await openStore(t, own);
    const view = followView(t, createFollower(t, own.url, prefix), null);
    await view.reached(await store.commit(commitOf(putRoute('a'))));
    const admin = new Redis(own.url);
    t.teardown(() => admin.disconnect());
    await admin.flushall();
    await t.rejects(store.commit(commitOf(putRoute('b'))), { code: 'store_lost' });
    await t.rejects(store.open({ create: true, expectedEpoch: store.epoch }), { code: 'store_lost' });
    await view.until(() => view.troubles.length > 0);
    t.match(view.troubles[0], { code: 'store_lost' });
    t.same(view.ids(), ['route/a']);
    t.equal(view.seen.filter((type) => type === 'snapshot').length, 1);

    const anew = createRedisStore({ url: own.url, prefix });
    t.teardown(() => anew.close());
    await anew.open({ create: true, expectedEpoch: null });
    await t.rejects(store.commit(commitOf(putRoute('b'))), { code: 'store_lost' }, 'another epoch');
    const head = await anew.commit(commitOf(putRoute('c')));
    await view.reached(head);
    t.same(view.ids(), ['route/c'], 'another epoch comes as a snapshot');
  });

  await t.test('the same numbers with other commits, as after a fail-over, force a snapshot', async (t) => {
    const { store, prefix } = await openStore(t, server);
    await store.commit(commitOf(putRoute('kept')));
    const admin = new Redis(server.url);
    t.teardown(() => admin.disconnect());
    const keys = await admin.keys(`{${prefix}}:*`);
    const dumps = await Promise.all(keys.map((key) => admin.dumpBuffer(key)));
    await store.commit(commitOf(putRoute('lost')));
    const view = followView(t, createFollower(t, server.url, prefix), null);
    await view.until(() => view.ids().includes('route/lost'));
    for (const key of await admin.keys(`{${prefix}}:*`)) await admin.del(key);
    for (const [index, key] of keys.entries()) await admin.restore(key, 0, dumps[index]!);
    await store.commit(commitOf(putRoute('other')));
    await view.until(() => view.ids().includes('route/other'));
    t.same(view.ids(), ['route/kept', 'route/other']);
    t.same(view.records, await contentOf(store));
  });
});

async function openStore(t: Test, server: RedisServer) {
  const prefix = `test-${randomUUID()}`;
  const store = createRedisStore({ url: server.url, prefix });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  return { store, prefix };
}

function createFollower(t: Test, url: string, prefix: string) {
  const store = createRedisStore({ url, prefix });
  t.teardown(() => store.close());
  return store.follow;
}
