import { randomUUID } from 'node:crypto';
import { createRedisStore } from '@lockstep/store';
import { startRedis, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { noteKeys } from '../conformance/note-keys.ts';
import { commitOf, putRoute, report } from '../conformance/records.ts';
import { contentOf, followView } from '../conformance/view.ts';

const syncAtOnce = ['--repl-diskless-sync-delay', '0'];

t.test('a history that goes back', async (t) => {
  const server = await startRedis({ args: ['--appendonly', 'no'] });
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());

  const note = (prefix: string) => noteKeys(admin, prefix);

  async function fleet(t: Test) {
    const prefix = `test-${randomUUID()}`;
    const open = async () => {
      const store = createRedisStore({ url: server.url, prefix });
      t.teardown(() => store.close());
      await store.open({ create: true, expectedEpoch: null });
      return store;
    };
    return { prefix, one: await open(), open };
  }

  await t.test('goes on in a new epoch, before whoever knew of later commits makes another', async (t) => {
    const { one, open, prefix } = await fleet(t);
    const other = await open();
    const kept = await one.commit(commitOf(putRoute('a')));
    const putBack = await note(prefix);
    const lost = [commitOf(putRoute('b')), commitOf(putRoute('c'))];
    let last = kept;
    for (const commit of lost) last = await one.commit(commit);
    const edge = createRedisStore({ url: server.url, prefix });
    t.teardown(() => edge.close());
    const view = followView(t, edge.follow, null);
    await view.reached(last);
    await putBack();

    const made = await one.commit(commitOf(putRoute('d')));
    t.not(made.epoch, kept.epoch);
    t.equal(made.number, last.number + 2, 'above every number that was known');
    t.match(await one.listTurns(), [{ reason: 'went_back', epoch: made.epoch, kept, lost: last }]);
    const theirs = await other.commit(commitOf(putRoute('e')));
    t.equal(theirs.epoch, made.epoch, 'the other control plane goes over');
    t.equal(other.epoch, made.epoch);
    await view.reached(theirs);
    t.same(view.ids(), ['route/a', 'route/d', 'route/e']);
    t.match(await one.commit(lost[0]!), { number: theirs.number + 1 }, 'a lost commit can be made again');
    await t.rejects(
      one.commit({ ...commitOf(putRoute('a')), checks: [{ kind: 'route', id: 'a', revision: last.number }] }),
      { code: 'revision_conflict' },
    );
    await view.reached(await one.head());
    t.same(view.records, await contentOf(one));
  });

  await t.test('turns once, however many commits and looks of one process meet it', async (t) => {
    const { one, prefix } = await fleet(t);
    let kept = await one.commit(commitOf(putRoute('a')));
    for (let round = 1; round <= 5; round += 1) {
      const putBack = await note(prefix);
      const lost = await one.commit(commitOf(putRoute(`lost-${round}`)));
      await putBack();
      const calls: Promise<unknown>[] = [];
      for (let index = 0; index < 40; index += 1) {
        calls.push(one.commit(commitOf(putRoute(`${round}-${index}`))), one.standingOf([lost]));
        await new Promise(setImmediate);
      }
      await Promise.all(calls);
      const turns = await one.listTurns();
      t.equal(turns.length, round);
      t.match(turns.at(-1), { reason: 'went_back', kept, lost });
      kept = await one.commit(commitOf(putRoute('a')));
    }
  });

  await t.test('is noticed by a control plane that only follows', async (t) => {
    const { one, prefix } = await fleet(t);
    const view = followView(t, one.follow, null);
    const kept = await one.commit(commitOf(putRoute('a')));
    const putBack = await note(prefix);
    const last = await one.commit(commitOf(putRoute('b')));
    await view.reached(last);
    await putBack();
    await view.until(() => view.position?.epoch !== kept.epoch);
    t.match(await one.listTurns(), [{ kept, lost: last }]);
    t.same(view.ids(), ['route/a']);
  });

  await t.test('and was gone on with: what still stands is the latest common commit', async (t) => {
    const { one, open, prefix } = await fleet(t);
    const kept = await one.commit(commitOf(putRoute('a')));
    const putBack = await note(prefix);
    let last = kept;
    for (const id of ['b', 'c']) last = await one.commit(commitOf(putRoute(id)));
    await putBack();
    const fresh = await open();
    for (const id of ['d', 'e', 'f']) await fresh.commit(commitOf(putRoute(id)));
    t.equal(fresh.epoch, kept.epoch, 'who knows nothing of it cannot notice');
    const made = await one.commit(commitOf(putRoute('g')));
    t.match(await one.listTurns(), [{ kept, lost: last }]);
    t.match(await fresh.commit(commitOf(putRoute('h'))), { epoch: made.epoch });
    t.same(Object.keys(await contentOf(one)), [
      'route/a',
      'route/d',
      'route/e',
      'route/f',
      'route/g',
      'route/h',
    ]);
  });

  await t.test('behind the epoch it had turned to, however often, is gone on with', async (t) => {
    const { one, open, prefix } = await fleet(t);
    const other = await open();
    const first = await one.commit(commitOf(putRoute('a')));
    const earliest = await note(prefix);
    await one.commit(commitOf(putRoute('b')));
    const later = await note(prefix);
    let last = await one.commit(commitOf(putRoute('c')));
    const edge = createRedisStore({ url: server.url, prefix });
    t.teardown(() => edge.close());
    const view = followView(t, edge.follow, null);
    await view.reached(last);
    for (const [round, [putBack, ids]] of (
      [
        [later, ['a', 'b']],
        [earliest, ['a']],
        [later, ['a', 'b']],
        [earliest, ['a']],
        [earliest, ['a']],
      ] as const
    ).entries()) {
      await one.reportNode(report('edge-1', { applied: last }));
      await putBack();
      await one.reportNode(report('edge-1', { applied: last }));
      t.match(await one.standingOf([last, first]), ['apart', 'apart'], 'nobody stands on what is gone');
      t.match(await one.listNodes(), [{ standing: 'apart' }]);
      const made = await other.commit(commitOf(putRoute(`r${round}`)));
      t.ok(made.number > last.number, 'above every number that was known');
      t.match((await one.listTurns()).at(-1), { reason: 'went_back', epoch: made.epoch, lost: last });
      last = await one.commit(commitOf(putRoute('z')));
      t.equal(last.epoch, made.epoch);
      await view.reached(last);
      t.same(
        view.ids(),
        [...ids, `r${round}`, 'z'].map((id) => `route/${id}`),
      );
    }
  });

  await t.test(
    'is another store’s where it shares no epoch: nothing is written, or called its own',
    async (t) => {
      const { one, prefix } = await fleet(t);
      const last = await one.commit(commitOf(putRoute('a')));
      await admin.hset(`{${prefix}}:meta`, 'epoch', 'foreign');
      await t.rejects(one.commit(commitOf(putRoute('b'))), { code: 'store_lost', message: /--restored/ });
      t.same(await one.standingOf([last, { ...last, epoch: 'foreign' }]), ['apart', 'apart']);
      await admin.hset(`{${prefix}}:meta`, 'epoch', last.epoch);
      t.match(await one.commit(commitOf(putRoute('b'))), { epoch: last.epoch, number: 2 });
    },
  );

  await t.test('makes no node of the fleet forgotten that does not report just then', async (t) => {
    const { one, prefix } = await fleet(t);
    await one.commit(commitOf(putRoute('a')));
    const putBack = await note(prefix);
    await one.commit(commitOf(putRoute('b')));
    await one.reportNode(report('cut-off'));
    await one.reportNode(report('leaves'));
    const names = async () => (await one.listNodes()).map(({ report }) => report.node);
    t.same(await names(), ['cut-off', 'leaves']);
    await one.removeNode('leaves', 'instance-1', { returns: false });
    t.same(await names(), ['cut-off'], 'one that left is not expected');
    await putBack();
    t.same(await names(), ['cut-off'], 'put back');
    const wholeAgain = await note(prefix);
    await admin.del(await admin.keys(`{${prefix}}:*`));
    await names();
    await wholeAgain();
    await admin.del(`{${prefix}}:node:cut-off`, `{${prefix}}:node-ids`);
    t.same(await names(), ['cut-off'], 'wiped and put back');
    await one.forgetNode('cut-off');
    t.same(await names(), []);
  });

  await t.test('gives no fencing token a second time', async (t) => {
    const { one, open, prefix } = await fleet(t);
    const putBack = await note(prefix);
    const former = (await one.acquireLease('order/a', 60_000))!;
    await putBack();
    const other = await open();
    const latter = (await other.acquireLease('order/a', 60_000))!;
    t.ok(latter.token > former.token);
    await t.rejects(one.commit({ ...commitOf(putRoute('a')), lease: former }), { code: 'lease_lost' });
  });

  await t.test('shows a node that stands on what is gone as such, whatever its number', async (t) => {
    const { one, prefix } = await fleet(t);
    await one.commit(commitOf(putRoute('a')));
    const putBack = await note(prefix);
    const last = await one.commit(commitOf(putRoute('b')));
    await putBack();
    await one.reportNode(report('edge-1', { applied: last }));
    const fresh = createRedisStore({ url: server.url, prefix });
    t.teardown(() => fresh.close());
    t.match(await fresh.listNodes(), [{ standing: 'ahead' }]);
    await fresh.open({ create: false, expectedEpoch: null });
    await fresh.commit(commitOf(putRoute('c')));
    t.match(await fresh.listNodes(), [{ standing: 'apart' }]);
  });
});

t.test('a commit that has to be on a replica', async (t) => {
  const [server, replica] = await Promise.all([startRedis({ args: syncAtOnce }), startRedis()]);
  t.teardown(() => Promise.all([server.close(), replica.close()]));
  const [admin, replicaAdmin] = [new Redis(server.url), new Redis(replica.url)];
  t.teardown(() => [admin, replicaAdmin].map((client) => client.disconnect()));
  const store = createRedisStore({ url: server.url });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });

  store.requireReplicas({ replicas: 1, timeoutMs: 50 });
  const commit = commitOf(putRoute('a'));
  await t.rejects(store.commit(commit), { code: 'store_unavailable', message: /0 of 1 replicas/ });
  t.match(await store.get('route', 'a'), { revision: 1 }, 'is made, and answered as what is not sure');
  await t.rejects(store.commit(commit), { code: 'store_unavailable' }, 'repeated, it still is not there');

  await replicaAdmin.replicaof('127.0.0.1', server.port);
  await waitFor(async () => (await replicaAdmin.info('replication')).includes('master_link_status:up'), {
    what: 'the replica to follow',
  });
  store.requireReplicas({ replicas: 1, timeoutMs: 20_000 });
  t.match(await store.commit(commit), { number: 1 }, 'repeated once more, it is');
  const made = await Promise.all(
    Array.from({ length: 300 }, (_, i) => store.commit(commitOf(putRoute(`r${i}`)))),
  );
  t.equal(Math.max(...made.map(({ number }) => number)), 301);
  t.equal(await replicaAdmin.hget('{lockstep}:meta', 'number'), '301');
  await admin.script('FLUSH');
  t.match(await store.commit(commitOf(putRoute('z'))), { number: 302 }, 'where the script is not known');
  await t.rejects(
    store.commit({ ...commitOf(putRoute('a')), checks: [{ kind: 'route', id: 'a', revision: 9 }] }),
    { code: 'revision_conflict' },
    'a refusal asks for no replica',
  );
});
