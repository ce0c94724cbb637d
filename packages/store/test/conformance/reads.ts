import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, putOrder, putRoute, remove } from './records.ts';

export async function reads(t: Test, backend: Backend): Promise<void> {
  await t.test('lists are in byte order of ids, page by page, of one kind', async (t) => {
    const { store } = await backend.bench(t);
    const ids = ['B', 'a', 'a-1', 'a.b', 'b', 'z', 'ä'];
    await store.commit(commitOf(...ids.toReversed().map((id) => putRoute(id)), putOrder('c', null)));
    const first = await store.list('route', { limit: 3 });
    t.same(
      first.items.map(({ id }) => id),
      ['B', 'a', 'a-1'],
    );
    await store.commit(commitOf(remove('route', 'a-1'), remove('route', 'b'), putRoute('A'), putRoute('c')));
    const second = await store.list('route', { limit: 3, cursor: first.next! });
    t.same(
      second.items.map(({ id }) => id),
      ['a.b', 'c', 'z'],
    );
    const third = await store.list('route', { limit: 3, cursor: second.next! });
    t.same(
      third.items.map(({ id }) => id),
      ['ä'],
    );
    t.equal(third.next, null);
    t.same(
      (await store.list('order', { limit: 1 })).items.map(({ id }) => id),
      ['c'],
    );
    t.same(await store.list('order', { limit: 1, cursor: 'c' }), { items: [], next: null });
    t.equal((await store.list('order', { limit: 1 })).next, null, 'a full last page has no next');
  });

  await t.test('getMany keeps the order asked for, with null for what does not exist', async (t) => {
    const { store } = await backend.bench(t);
    await store.commit(commitOf(putRoute('a'), putRoute('b')));
    const found = await store.getMany('route', ['b', 'none', 'a', 'b']);
    t.same(
      found.map((record) => record?.id ?? null),
      ['b', null, 'a', 'b'],
    );
    t.same(await store.getMany('route', []), []);
    t.equal(await store.get('certificate', 'a'), null);
  });

  await t.test('counts records by kind', async (t) => {
    const { store } = await backend.bench(t);
    t.equal(await store.count('route'), 0);
    await store.commit(commitOf(putRoute('a'), putRoute('b'), putOrder('a', 1)));
    await store.commit(commitOf(putRoute('b'), remove('route', 'a'), remove('route', 'none')));
    t.equal(await store.count('route'), 1);
    t.equal(await store.count('order'), 1);
  });

  await t.test('due records come the earliest first, and move with their date', async (t) => {
    const { store } = await backend.bench(t);
    t.equal(await store.nextDue('order'), null);
    await store.commit(commitOf(putOrder('late', 3_000), putOrder('soon', 1_000), putOrder('never', null)));
    await store.commit(commitOf(putOrder('middle', 2_000)));
    const due = async (until: number, limit = 10) =>
      (await store.listDue('order', until, limit)).map(({ id }) => id);
    t.same(await due(2_000), ['soon', 'middle']);
    t.same(await due(9_000, 2), ['soon', 'middle']);
    t.same(await due(999), []);
    t.equal(await store.nextDue('order'), 1_000);
    t.equal(await store.nextDue('certificate'), null);
    await store.commit(commitOf(putOrder('soon', 5_000), putOrder('middle', null), remove('order', 'late')));
    t.same(await due(9_000), ['soon']);
    t.equal(await store.nextDue('order'), 5_000);
  });

  await t.test('each lane of due records is read by itself, and a record may change its lane', async (t) => {
    const { store } = await backend.bench(t);
    const due = async (lane: number) => (await store.listDue('order', 9_000, 10, lane)).map(({ id }) => id);
    await store.commit(commitOf(putOrder('a', 2_000), putOrder('b', 1_000, 2), putOrder('c', 0, 2)));
    t.same(await due(0), ['a']);
    t.same(await due(1), []);
    t.same(await due(2), ['c', 'b']);
    t.equal(await store.countDue('order', 9_000, 2), 2);
    t.equal(await store.countDue('order', 999, 2), 1);
    t.equal(await store.countDue('order', 9_000), 1);
    t.equal(await store.countDue('certificate', 9_000, 2), 0);
    t.equal(await store.nextDue('order'), 2_000);
    t.equal(await store.nextDue('order', 1), null);
    t.equal(await store.nextDue('order', 2), 0);
    await store.commit(commitOf(putOrder('b', 1_000, 9), remove('order', 'c')));
    t.same(await due(2), []);
    t.same(await due(9), ['b']);
    await t.rejects(store.commit(commitOf(putOrder('a', 1, 10))), { code: 'invalid_request' });
  });
}
