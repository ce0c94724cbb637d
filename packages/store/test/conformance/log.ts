import type { CommitOrigin, Kind, LogEntry } from '@lockstep/contract';
import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, noOrigin, putRoute, remove } from './records.ts';

export async function log(t: Test, backend: Backend): Promise<void> {
  await t.test('the log has each commit with its predecessor, in order', async (t) => {
    const { store } = await backend.bench(t);
    const start = await store.head();
    t.same(await store.readLog(start, 10), []);
    const all = [commitOf(putRoute('a')), commitOf(remove('route', 'a')), commitOf(putRoute('b'))];
    const positions = [];
    for (const commit of all) positions.push(await store.commit(commit));
    const entries = await store.readLog(start, 10);
    t.same(
      entries?.map(({ position }) => position),
      positions,
    );
    t.same(
      entries?.map(({ previousCommitId }) => previousCommitId),
      [null, all[0]!.id, all[1]!.id],
    );
    t.same(entries?.[1]?.changes, [{ op: 'delete', kind: 'route', id: 'a' }]);
    t.same((await store.readLog(start, 2))?.length, 2);
    t.same(
      (await store.readLog(positions[1]!, 10))?.map(({ position }) => position.number),
      [3],
    );
    t.same(await store.readLog(positions[2]!, 10), []);
  });

  await t.test('an entry says who made the commit, and which request or commit led to it', async (t) => {
    const { store, another } = await backend.bench(t);
    const origins: CommitOrigin[] = [
      { by: { kind: 'token', name: 'admin "of" all' }, requestId: 'request-1', cause: null },
      { by: { kind: 'coordinator' }, requestId: null, cause: 1 },
      noOrigin,
    ];
    const stop = new AbortController();
    const from = await store.head();
    const followed = async (kinds: readonly Kind[]) => {
      const entries: LogEntry[] = [];
      for await (const event of (await another()).follow(from, { kinds, signal: stop.signal })) {
        if (event.type === 'commit') entries.push(event.entry);
        if (entries.length === origins.length) break;
      }
      return entries;
    };
    const following = Promise.all([followed(['route', 'order']), followed(['route'])]);
    await store.commit({ ...commitOf(putRoute('a')), ...origins[0] });
    await store.commit({ ...commitOf(putRoute('a', ['b.example.com'])), ...origins[1] });
    await store.commit(commitOf(remove('route', 'a')));
    const [byControlPlane, byEdge] = await following;
    stop.abort();
    const entries = (await store.readLog(from, 10)) ?? [];
    t.same(
      entries.map(({ by, requestId, cause }) => ({ by, requestId, cause })),
      origins,
    );
    t.same(byControlPlane, entries, 'whoever follows is told the same');
    t.same(
      byEdge,
      entries.map(({ position, previousCommitId, changes }) => ({ position, previousCommitId, changes })),
      'but for edges, whose kinds alone are followed: they are not told whose it is',
    );
  });

  await t.test('a commit of nobody, or for a request or commit that is none, is refused', async (t) => {
    const { store } = await backend.bench(t);
    for (const odd of [
      { by: { kind: 'nobody' } },
      { by: { kind: 'token', name: '' } },
      { by: { kind: 'token', name: 'x'.repeat(129) } },
      { requestId: 'two\nlines' },
      { cause: 1.5 },
    ]) {
      const commit = { ...commitOf(putRoute('a')), ...odd } as ReturnType<typeof commitOf>;
      await t.rejects(store.commit(commit), { code: 'invalid_request' });
    }
    t.equal((await store.head()).number, 0);
  });

  await t.test('a position of another history has no continuation', async (t) => {
    const { store } = await backend.bench(t);
    await store.commit(commitOf(putRoute('a')));
    const head = await store.commit(commitOf(putRoute('b')));
    t.equal(await store.readLog({ ...head, epoch: 'another' }, 10), null);
    t.equal(await store.readLog({ ...head, commitId: 'another' }, 10), null);
    t.equal(await store.readLog({ ...head, number: 1, commitId: 'another' }, 10), null);
    t.equal(await store.readLog({ ...head, number: 3, commitId: 'ahead' }, 10), null);
  });

  await t.test('the log keeps its last entries and says so when it no longer reaches back', async (t) => {
    const { store } = await backend.bench(t, { logEntries: 3 });
    const positions = [await store.head()];
    for (let i = 0; i < 6; i++) positions.push(await store.commit(commitOf(putRoute(`r${i}`))));
    const from = async (number: number) =>
      (await store.readLog(positions[number]!, 10))?.map(({ position }) => position.number) ?? null;
    t.same(await from(3), [4, 5, 6]);
    t.same(await from(6), []);
    t.equal(await from(2), null);
    t.equal(await from(0), null);
  });

  await t.test('a commit can have the log forget all that was before it', async (t) => {
    const { store, another } = await backend.bench(t);
    const positions = [await store.head()];
    for (let i = 0; i < 6; i++) positions.push(await store.commit(commitOf(putRoute(`r${i}`))));
    positions.push(await store.commit({ ...commitOf(remove('route', 'r1')), forgetsLog: true }));
    positions.push(await store.commit(commitOf(putRoute('last'))));
    const reader = await another();
    const from = async (number: number) =>
      (await reader.readLog(positions[number]!, 10))?.map(({ position }) => position.number) ?? null;
    t.equal(await from(0), null);
    t.equal(await from(5), null);
    t.same(await from(6), [7, 8]);
    t.same(await from(8), []);
    t.same(
      await store.standingOf(positions.slice(1)),
      Array(8).fill('on'),
      'the history keeps all positions',
    );
    t.same(await store.check(), []);
  });

  await t.test('without an epoch there is no head and no log', async (t) => {
    const { store } = await backend.bench(t, { create: false });
    await t.rejects(store.head(), { code: 'store_lost' });
    await t.rejects(store.readLog({ epoch: 'x', number: 0, commitId: '' }, 1), { code: 'store_lost' });
  });
}
