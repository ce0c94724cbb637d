import { randomUUID } from 'node:crypto';
import { createRedisStore } from '@lockstep/store';
import { startRedis, startTroubledWay, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { commitOf, putRoute } from '../conformance/records.ts';
import { followView } from '../conformance/view.ts';

const syncAtOnce = ['--repl-diskless-sync-delay', '0'];

t.test('a server that is master no more', async (t) => {
  const [one, other] = await Promise.all([
    startRedis({ args: syncAtOnce }),
    startRedis({ args: syncAtOnce }),
  ]);
  t.teardown(() => Promise.all([one.close(), other.close()]));
  const [oneAdmin, otherAdmin] = [new Redis(one.url), new Redis(other.url)];
  t.teardown(() => [oneAdmin, otherAdmin].map((admin) => admin.disconnect()));
  const way = await startTroubledWay(one.port);
  t.teardown(() => way.close());

  const replicate = async (replica: Redis, port: number) => {
    await replica.replicaof('127.0.0.1', port);
    await waitFor(async () => (await replica.info('replication')).includes('master_link_status:up'), {
      what: 'the replica to follow',
    });
  };
  const heardOn = async (admin: Redis, prefix: string) =>
    Number((await admin.pubsub('NUMSUB', `{${prefix}}:control:commits`))[1]);

  await t.test('a subscriber on a demoted server moves to where the way leads now', async (t) => {
    await replicate(otherAdmin, one.port);
    const { store, prefix } = await openStore(t, one.url);
    const far = connect(t, way.url, prefix);
    const view = followView(t, far.follow, null);
    await view.reached(await store.commit(commitOf(putRoute('a'))));
    await waitFor(async () => Number(await oneAdmin.wait(1, 100)) === 1, { what: 'the replica' });
    await otherAdmin.replicaof('NO', 'ONE');
    way.target = other.port;
    await replicate(oneAdmin, other.port);
    await waitFor(async () => (await heardOn(otherAdmin, prefix)) === 1, { what: 'the subscriber to move' });
    const there = await openStore(t, other.url, prefix);
    await view.reached(await there.store.commit(commitOf(putRoute('b'))));
  });

  await t.test('a subscriber whose server is cut off from the history moves too', async (t) => {
    await oneAdmin.replicaof('NO', 'ONE');
    await oneAdmin.flushall();
    await replicate(oneAdmin, other.port);
    const { store, prefix } = await openStore(t, other.url);
    const warnings: string[] = [];
    const far = createRedisStore({
      url: way.url,
      prefix,
      log: { info: () => {}, warn: (facts, message) => warnings.push(`${JSON.stringify(facts)} ${message}`) },
    });
    t.teardown(() => far.close());
    const view = followView(t, far.follow, null);
    await view.reached(await store.commit(commitOf(putRoute('a'))));
    await waitFor(async () => (await oneAdmin.exists(`{${prefix}}:control:log`)) === 1, {
      what: 'the replica',
    });
    // Both say that they are master, and only the connection for commands moves.
    await oneAdmin.replicaof('NO', 'ONE');
    way.target = one.port;
    await otherAdmin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    const there = await openStore(t, one.url, prefix);
    await view.reached(await there.store.commit(commitOf(putRoute('b'))));
    await waitFor(async () => (await heardOn(oneAdmin, prefix)) === 1, { what: 'the subscriber to move' });
    await view.reached(await there.store.commit(commitOf(putRoute('c'))));
    t.match(warnings.join('\n'), /stands still|another history/);
  });
});

function connect(t: Test, url: string, prefix: string) {
  const store = createRedisStore({ url, prefix });
  t.teardown(() => store.close());
  return store;
}

async function openStore(t: Test, url: string, prefix = `test-${randomUUID()}`) {
  const store = connect(t, url, prefix);
  await store.open({ create: true, expectedEpoch: null });
  return { store, prefix };
}
