import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, putOrder, putRoute, remove } from './records.ts';
import { contentOf, followView } from './view.ts';

export async function following(t: Test, backend: Backend): Promise<void> {
  await t.test('a follower from nothing gets a snapshot, then each commit', async (t) => {
    const { store, another } = await backend.bench(t);
    await store.commit(commitOf(putRoute('a'), putRoute('b')));
    await store.commit(commitOf(remove('route', 'a')));
    const view = followView(t, (await another()).follow, null);
    await view.until(() => view.seen.includes('current'));
    t.same(view.seen, ['snapshot', 'current']);
    t.same(view.ids(), ['route/b']);
    const head = await store.commit(commitOf(putRoute('c'), remove('route', 'b')));
    await view.reached(head);
    t.same(view.ids(), ['route/c']);
    t.same(view.troubles, []);
  });

  await t.test('a follower from a position gets what it missed, without a snapshot', async (t) => {
    const { store } = await backend.bench(t);
    const from = await store.commit(commitOf(putRoute('a')));
    for (let i = 0; i < 150; i++) await store.commit(commitOf(putRoute(`r${i % 7}`)));
    const view = followView(t, store.follow, from);
    await view.reached(await store.head());
    await view.until(() => view.seen.includes('current'));
    t.notOk(view.seen.includes('snapshot'));
    t.equal(view.seen.filter((type) => type === 'commit').length, 150);
  });

  await t.test('only the kinds asked for are delivered; other commits come without changes', async (t) => {
    const { store } = await backend.bench(t);
    await store.commit(commitOf(putRoute('a'), putOrder('a', 1)));
    const view = followView(t, store.follow, null, { followed: ['route'] });
    await view.until(() => view.seen.includes('current'));
    t.same(view.ids(), ['route/a']);
    await view.reached(await store.commit(commitOf(putOrder('b', 1), putRoute('b'))));
    await view.reached(await store.commit(commitOf(putOrder('c', 1))));
    t.same(view.ids(), ['route/a', 'route/b']);
    t.equal(view.seen.filter((type) => type === 'commit').length, 2);
  });

  await t.test('where the log does not continue from the position, a snapshot comes', async (t) => {
    const { store } = await backend.bench(t, { logEntries: 3 });
    const old = await store.commit(commitOf(putRoute('a')));
    for (let i = 0; i < 6; i++) await store.commit(commitOf(putRoute(`r${i}`)));
    const head = await store.head();
    for (const from of [
      old,
      { ...head, epoch: 'another' },
      { ...head, commitId: 'another' },
      { ...head, number: 99, commitId: 'ahead' },
    ]) {
      const view = followView(t, store.follow, from);
      await view.until(() => view.seen.includes('current'));
      t.same(view.seen, ['snapshot', 'current']);
      t.same(view.records, await contentOf(store));
      await view.close();
    }
  });

  await t.test('a snapshot taken beside commits and deletions ends in the same records', async (t) => {
    const { store, another } = await backend.bench(t);
    for (let i = 0; i < 6; i++) {
      const ids = Array.from({ length: 400 }, (_, n) => `r${String(i * 400 + n).padStart(5, '0')}`);
      await store.commit(commitOf(...ids.map((id) => putRoute(id))));
    }
    let writing = true;
    const writer = (async () => {
      for (let i = 0; writing || i < 50; i++) {
        const id = (n: number) => `r${String(n % 2400).padStart(5, '0')}`;
        await store.commit(
          commitOf(
            remove('route', id(i * 37)),
            putRoute(id(i * 53 + 1), [`${i}.example.com`]),
            putRoute(`z${i}`),
          ),
        );
      }
    })();
    const view = followView(t, (await another()).follow, null);
    await view.until(() => view.seen.includes('current'));
    writing = false;
    await writer;
    await view.reached(await store.head());
    t.same(view.records, await contentOf(store));
    t.equal(view.seen.filter((type) => type === 'snapshot').length, 1);
  });

  await t.test('a store that is not created yet is trouble, never an empty snapshot', async (t) => {
    const { store } = await backend.bench(t, { create: false });
    const view = followView(t, store.follow, null);
    await view.until(() => view.troubles.length > 0);
    t.match(view.troubles[0], { code: 'store_lost' });
    t.same(view.seen, []);
    await store.open({ create: true, expectedEpoch: null });
    await view.until(() => view.seen.includes('current'));
    t.equal(view.troubles.at(-1), null, 'well again');
  });

  await t.test('a follower that is slower than the commits misses none', async (t) => {
    const { store } = await backend.bench(t);
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const view = followView(t, store.follow, await store.head(), { slow: () => gate });
    await view.until(() => view.seen.includes('current'));
    for (let i = 0; i < 300; i++) await store.commit(commitOf(putRoute(`r${i % 10}`)));
    go();
    await view.reached(await store.head());
    t.equal(view.seen.filter((type) => type === 'commit').length, 300);
    t.same(view.records, await contentOf(store));
  });

  await t.test('following ends when it is told to', async (t) => {
    const { store } = await backend.bench(t);
    const view = followView(t, store.follow, null);
    await view.until(() => view.seen.includes('current'));
    await view.close();
    t.pass('ended');
  });
}
