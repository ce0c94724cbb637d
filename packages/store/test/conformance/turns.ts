import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, putRoute } from './records.ts';
import { contentOf, followView } from './view.ts';

export async function turns(t: Test, backend: Backend): Promise<void> {
  await t.test('a restored store begins a new epoch over its records, and says so', async (t) => {
    const { store, another } = await backend.bench(t);
    const before = await store.commit(commitOf(putRoute('a')));
    t.same(await store.listTurns(), []);
    const other = await another();
    const epoch = await other.open({ create: false, expectedEpoch: before.epoch, restored: true });
    t.not(epoch, before.epoch);
    t.match(await other.listTurns(), [{ reason: 'restored', epoch, kept: before, lost: null, at: Number }]);
    const head = await other.head();
    t.match(head, { epoch, number: 2 });
    t.same(await other.standingOf([before, head]), ['apart', 'on']);
    t.equal(await other.readLog(before, 10), null, 'nobody continues from before');
    t.match(await other.get('route', 'a'), { revision: 1 });
    const made = await other.commit(commitOf(putRoute('b')));
    t.match(made, { epoch, number: 3 });
    t.match(await other.readLog(head, 10), [{ position: made, previousCommitId: head.commitId }]);
    const view = followView(t, other.follow, before);
    await view.reached(made);
    t.same(view.records, await contentOf(other));
    t.equal(
      await other.open({ create: false, expectedEpoch: before.epoch }),
      epoch,
      'a turn of what is expected',
    );
    await t.rejects(other.open({ create: false, expectedEpoch: 'another' }), { code: 'store_lost' });
  });

  await t.test('a store that lacks commits known before begins a new epoch above them', async (t) => {
    const { store, another } = await backend.bench(t);
    const kept = await store.commit(commitOf(putRoute('a')));
    const lost = { ...kept, number: 7, commitId: 'lost' };
    const other = await another();
    t.equal(await other.open({ create: false, expectedEpoch: kept.epoch, known: kept }), kept.epoch);
    const epoch = await other.open({ create: false, expectedEpoch: kept.epoch, known: lost });
    t.not(epoch, kept.epoch);
    t.match(await other.listTurns(), [{ reason: 'went_back', kept, lost }]);
    t.equal((await other.commit(commitOf(putRoute('b')))).number, 9);
    t.equal(await other.open({ create: false, expectedEpoch: kept.epoch, known: lost }), epoch, 'once');
    t.match(other.known, { epoch, number: 9 });
  });

  await t.test(
    'a store in an epoch that its history has left goes on above all that was known',
    async (t) => {
      const { store, another } = await backend.bench(t);
      const kept = await store.commit(commitOf(putRoute('a')));
      const lost = { epoch: 'later', number: 7, commitId: 'lost' };
      const other = await another();
      const seen = { create: false, expectedEpoch: lost.epoch, known: lost };
      await t.rejects(other.open(seen), { code: 'store_lost', message: /--restored/ });
      const epoch = await other.open({ ...seen, earlierEpochs: ['first', kept.epoch] });
      t.match(await other.listTurns(), [{ reason: 'went_back', epoch, kept, lost }]);
      t.match(await other.commit(commitOf(putRoute('b'))), { epoch, number: 9 });
      t.equal(other.epochs.at(-1), epoch);
      for (const earlier of ['first', kept.epoch, 'later'])
        t.ok(other.epochs.includes(earlier), `${earlier}: for its next start`);
      t.equal(await other.open(seen), epoch, 'whoever knew what is lost goes over');

      const unrelated = { epoch: 'of another store', number: 70, commitId: 'x' };
      const putBack = await other.open({
        create: false,
        expectedEpoch: unrelated.epoch,
        known: unrelated,
        restored: true,
      });
      t.match((await other.listTurns()).at(-1), { reason: 'restored', epoch: putBack, lost: unrelated });
      t.match(await other.commit(commitOf(putRoute('c'))), { epoch: putBack, number: 72 });
    },
  );
}
