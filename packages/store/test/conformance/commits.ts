import { randomUUID } from 'node:crypto';
import { type Change, maxCommitBytes, maxCommitRecords } from '@lockstep/store';
import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, putOrder, putRoute, remove, route } from './records.ts';

export async function commits(t: Test, backend: Backend): Promise<void> {
  await t.test('an empty store is created once, and only when that is asked for', async (t) => {
    const { store, another } = await backend.bench(t, { create: false });
    await t.rejects(store.open({ create: false, expectedEpoch: null }), { code: 'store_lost' });
    await t.rejects(store.open({ create: true, expectedEpoch: randomUUID() }), { code: 'store_lost' });
    await t.rejects(store.commit(commitOf(putRoute('a'))), { code: 'store_lost' });
    t.equal(store.epoch, null);
    const [one, two] = await Promise.all([
      store.open({ create: true, expectedEpoch: null }),
      store.open({ create: true, expectedEpoch: null }),
    ]);
    t.equal(one, two, 'two that create at once get one epoch');
    t.equal(await (await another()).open({ create: true, expectedEpoch: one }), one);
    await t.rejects(store.open({ create: true, expectedEpoch: randomUUID() }), { code: 'store_lost' });
  });

  await t.test('a due date that is none is refused before anything is written', async (t) => {
    const { store } = await backend.bench(t);
    const head = await store.head();
    const odd = { ...putOrder('odd', null), dueAt: Number.NaN } as Change;
    await t.rejects(store.commit(commitOf(odd)), { code: 'invalid_request' });
    t.same(await store.head(), head);
    t.equal(await store.get('order', 'odd'), null);
  });

  await t.test('a commit makes all of its changes under one revision', async (t) => {
    const { store } = await backend.bench(t);
    t.same(await store.head(), { epoch: store.epoch, number: 0, commitId: '' });
    const first = commitOf(putRoute('a'), putRoute('b'));
    const position = await store.commit(first);
    t.same(position, { epoch: store.epoch, number: 1, commitId: first.id });
    t.same(await store.head(), position);
    t.same(await store.get('route', 'a'), {
      kind: 'route',
      id: 'a',
      revision: 1,
      value: route(['a.example.com']),
    });
    await store.commit(commitOf(remove('route', 'a'), putRoute('b', ['new.example.com'])));
    t.equal(await store.get('route', 'a'), null);
    t.match(await store.get('route', 'b'), { revision: 2, value: { hosts: ['new.example.com'] } });
  });

  await t.test('values come back exactly as they were put', async (t) => {
    const { store } = await backend.bench(t);
    const value = {
      ...route([]),
      upstreams: [],
      note: 'ä\n€\u2028"\\/\ud83d\ude80',
      big: 9007199254740991,
      deep: { list: [[]], of: {}, no: null, f: 1e-7 },
    };
    await store.commit(commitOf({ op: 'put', kind: 'route', id: 'exact', value }));
    t.strictSame((await store.get('route', 'exact'))?.value, value);
    const from = { epoch: store.epoch!, number: 0, commitId: '' };
    t.strictSame((await store.readLog(from, 1))?.[0]?.changes, [
      { op: 'put', kind: 'route', id: 'exact', value },
    ]);
  });

  await t.test('a failed check makes none of the changes', async (t) => {
    const { store } = await backend.bench(t);
    await store.commit(commitOf(putRoute('a')));
    for (const revision of [null, 2]) {
      const commit = {
        ...commitOf(putRoute('b'), putRoute('a', ['x.example.com'])),
        checks: [{ kind: 'route', id: 'a', revision }] as const,
      };
      await t.rejects(store.commit({ ...commit, checks: [...commit.checks] }), {
        code: 'revision_conflict',
        facts: { kind: 'route', id: 'a' },
      });
    }
    await t.rejects(
      store.commit({ ...commitOf(putRoute('b')), checks: [{ kind: 'route', id: 'none', revision: 1 }] }),
      { code: 'revision_conflict' },
    );
    t.equal(await store.get('route', 'b'), null);
    t.equal((await store.head()).number, 1);
    const checks = [
      { kind: 'route', id: 'a', revision: 1 } as const,
      { kind: 'route', id: 'b', revision: null } as const,
    ];
    t.equal((await store.commit({ ...commitOf(putRoute('b')), checks })).number, 2);
  });

  await t.test('a claim belongs to one record, and is free again when given up', async (t) => {
    const { store } = await backend.bench(t);
    await store.commit(commitOf(putRoute('a', ['one.example.com', 'two.example.com'])));
    await t.rejects(store.commit(commitOf(putRoute('c'), putRoute('b', ['two.example.com']))), {
      code: 'host_taken',
      facts: { claim: 'two.example.com /', kind: 'route', id: 'a' },
    });
    t.equal(await store.get('route', 'c'), null);
    await t.rejects(
      store.commit(commitOf(putRoute('x', ['y.example.com']), putRoute('z', ['y.example.com']))),
      {
        code: 'host_taken',
        facts: { claim: 'y.example.com /', kind: 'route', id: 'x' },
      },
    );

    await store.commit(commitOf(putRoute('a', ['one.example.com'])));
    await store.commit(commitOf(putRoute('b', ['two.example.com'])));
    t.same(await store.findClaims('', 10), [
      { claim: 'one.example.com /', kind: 'route', id: 'a' },
      { claim: 'two.example.com /', kind: 'route', id: 'b' },
    ]);
    await store.commit(commitOf(putRoute('a', ['two.example.com']), putRoute('b', ['one.example.com'])));
    t.match(await store.findClaims('two', 10), [{ id: 'a' }], 'one commit can swap claims');
    await store.commit(commitOf(remove('route', 'a'), putRoute('c', ['two.example.com'])));
    await store.commit(commitOf(remove('route', 'b')));
    t.same(await store.findClaims('', 10), [{ claim: 'two.example.com /', kind: 'route', id: 'c' }]);
  });

  await t.test('claims are found by prefix, in byte order', async (t) => {
    const { store } = await backend.bench(t);
    await store.commit(
      commitOf(
        putRoute('a', ['b.example.com', 'a.example.com', 'a.example.comic', 'ä.example']),
        putRoute('b', ['a.example.co']),
      ),
    );
    const found = async (prefix: string, limit = 10) =>
      (await store.findClaims(prefix, limit)).map(({ claim }) => claim);
    t.same(await found('a.example.com'), ['a.example.com /', 'a.example.comic /']);
    t.same(await found('a.example.com '), ['a.example.com /']);
    t.same(await found('', 2), ['a.example.co /', 'a.example.com /']);
    t.same(await found('ä'), ['ä.example /']);
    t.same(await found('none'), []);
    const after = async (claim: string) =>
      (await store.findClaims('a.example.com', 10, claim)).map((found) => found.claim);
    t.same(await after('a.example.com /'), ['a.example.comic /']);
    t.same(await after('a.example.comic /'), []);
  });

  await t.test('a commit repeated with its id returns the first result and changes nothing', async (t) => {
    const { store, another } = await backend.bench(t);
    const commit = {
      ...commitOf(putRoute('a')),
      checks: [{ kind: 'route' as const, id: 'a', revision: null }],
    };
    const first = await store.commit(commit);
    await store.commit(commitOf(putRoute('b')));
    t.same(await store.commit(commit), first);
    t.same(await (await another()).commit(commit), first);
    t.equal((await store.head()).number, 2);
  });

  await t.test(
    'concurrent commits get revisions without gaps, and one of each contended check wins',
    async (t) => {
      const { store, another } = await backend.bench(t);
      const stores = [store, await another(), await another()];
      const outcomes = await Promise.allSettled(
        Array.from({ length: 60 }, (_, i) =>
          stores[i % 3]!.commit({
            ...commitOf(putRoute(`r${i % 20}`)),
            checks: [{ kind: 'route', id: `r${i % 20}`, revision: null }],
          }),
        ),
      );
      const made = outcomes.flatMap((outcome) =>
        outcome.status === 'fulfilled' ? outcome.value.number : [],
      );
      t.same(
        made.toSorted((a, b) => a - b),
        Array.from({ length: 20 }, (_, i) => i + 1),
      );
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') t.equal(outcome.reason.code, 'revision_conflict');
      }
      t.equal(await store.count('route'), 20);
    },
  );

  await t.test('a commit is bounded in records and bytes', async (t) => {
    const { store } = await backend.bench(t);
    const many = (n: number) => Array.from({ length: n }, (_, i) => putRoute(`r${i}`));
    await t.rejects(store.commit(commitOf(...many(maxCommitRecords + 1))), { code: 'commit_too_large' });
    await t.rejects(store.commit(commitOf(putRoute('a', ['a'], 'x'.repeat(maxCommitBytes)))), {
      code: 'commit_too_large',
    });
    t.equal((await store.head()).number, 0);
    t.equal((await store.commit(commitOf(...many(maxCommitRecords)))).number, 1);
    t.equal(await store.count('route'), maxCommitRecords);
  });

  await t.test('a commit that changes a record twice is refused', async (t) => {
    const { store } = await backend.bench(t);
    await t.rejects(store.commit(commitOf(putRoute('a'), remove('route', 'a'))), { code: 'invalid_request' });
  });
}
