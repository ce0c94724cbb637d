import { idleOrder, type JournalEntry, type Kind } from '@lockstep/contract';
import type { Change, ConfigStore } from '@lockstep/store';
import type { Test } from 'tap';
import type { Backend } from './backend.ts';
import { commitOf, putOrder, putRoute, remove, route } from './records.ts';

export async function journal(t: Test, backend: Backend): Promise<void> {
  await t.test(
    'the journal tells who changed what, when, and what it was before, the latest first',
    async (t) => {
      const { store, another } = await backend.bench(t);
      const by = { kind: 'token', name: 'admin' } as const;
      const began = await store.now();
      const made = await store.commit({ ...commitOf(putRoute('a')), by, requestId: 'request-1' });
      const changed = await store.commit({ ...commitOf(putRoute('a', ['b.example.com'])), cause: 1 });
      const removed = await store.commit(commitOf(remove('route', 'a')));
      const { items, next } = await (await another()).readJournal({ limit: 10 });
      t.equal(next, null);
      t.same(
        items.map(({ at: _, ...entry }) => entry),
        [
          {
            position: removed,
            by: { kind: 'system' },
            requestId: null,
            cause: null,
            kind: 'route',
            id: 'a',
            before: route(['b.example.com']),
            after: null,
          },
          {
            position: changed,
            by: { kind: 'system' },
            requestId: null,
            cause: 1,
            kind: 'route',
            id: 'a',
            before: route(['a.example.com']),
            after: route(['b.example.com']),
          },
          {
            position: made,
            by,
            requestId: 'request-1',
            cause: null,
            kind: 'route',
            id: 'a',
            before: null,
            after: route(['a.example.com']),
          },
        ],
      );
      const ended = await store.now();
      t.ok(items.every(({ at }) => at >= began - 1 && at <= ended + 1));
    },
  );

  await t.test('of an order the journal has the first of a row of failures, and no step', async (t) => {
    const { store } = await backend.bench(t);
    const put = (id: string, value: object) =>
      store.commit(commitOf({ op: 'put', kind: 'order', id, value: { ...order, ...value } } as Change));
    const order = idleOrder('a.example.com', '2026-11-24T00:00:00.000Z', null);
    const lastError = { detail: 'no', issuer: 'le', step: 'ordered', type: null, at: order.createdAt };
    await put('a', {});
    await put('a', { step: 'ordered' });
    await put('a', { failures: 1, lastError });
    await put('a', { failures: 1, lastError, step: 'placed' });
    await put('a', { failures: 2, lastError });
    await store.commit(commitOf(remove('order', 'a'), put1('bucket', { tokens: 1, at: 1 })));
    const { items } = await store.readJournal({ limit: 10 });
    t.match(items, [{ kind: 'order', id: 'a', before: { failures: 0 }, after: { failures: 1, lastError } }]);
    t.equal(items.length, 1);
  });

  await t.test('no entry has what is secret, before or after', async (t) => {
    const { store } = await backend.bench(t);
    const odd = 'SECRET "quoted", \\ back\\\\slashed\n"sealedKey":"SECRET"';
    for (const [round, sealed] of ['SECRET', odd, null, odd].entries()) {
      await store.commit(
        commitOf(
          put1('account', {
            directory: `https://ca.example/${round}`,
            accountUrl: 'https://ca.example/"sealedKey":1',
            sealedKey: sealed,
          }),
          put1('authority', { sealedKey: sealed, certificate: `PEM ${round}` }),
          put1('certificate', { host: 'a.example', chain: odd, sealedKey: sealed, serialNumber: `${round}` }),
          put1('issuer', { config: { type: 'acme' }, sealedSecrets: sealed, updatedAt: `day ${round}` }),
          put1('settings', { sealedSecrets: sealed, config: { issuers: [`${round}`] } }),
        ),
      );
    }
    await store.commit(commitOf(...(['account', 'certificate'] as const).map((kind) => remove(kind, 'one'))));
    const entries = await allEntries(store);
    t.equal(entries.length, 22);
    t.same(
      entries.filter((entry) => JSON.stringify(entry).includes('SECRET')),
      [],
    );
    t.same(entries.find(({ kind, before }) => kind === 'certificate' && before !== null)?.before, {
      host: 'a.example',
      serialNumber: '3',
    });
    t.same(entries[2]?.after, { config: { issuers: ['3'] } });
  });

  await t.test('what is only sealed anew leaves no entry', async (t) => {
    const { store } = await backend.bench(t);
    const seal = (sealedKey: string, id = 'one') =>
      store.commit(
        commitOf({ op: 'put', kind: 'authority', id, value: { certificate: 'PEM', sealedKey } } as Change),
      );
    await seal('first');
    await seal('anew');
    await seal('anew', 'other');
    await store.commit(commitOf(remove('authority', 'one')));
    const { items } = await store.readJournal({ limit: 10 });
    t.match(items, [
      { id: 'one', before: { certificate: 'PEM' }, after: null },
      { id: 'other', before: null, after: { certificate: 'PEM' } },
      { id: 'one', before: null },
    ]);
    t.equal(items.length, 3);
  });

  await t.test('a commit that is refused leaves no entry, and a repeated one leaves one', async (t) => {
    const { store } = await backend.bench(t);
    const commit = commitOf(putRoute('a'));
    await store.commit(commit);
    await store.commit(commit);
    const checks = [{ kind: 'route' as const, id: 'a', revision: null }];
    await t.rejects(store.commit({ ...commitOf(putRoute('b')), checks }), { code: 'revision_conflict' });
    t.equal((await store.readJournal({ limit: 10 })).items.length, 1);
  });

  await t.test('the journal is read page by page, and keeps so many entries', async (t) => {
    const { store } = await backend.bench(t);
    store.boundJournal({ ageMs: 3_600_000, entries: 5 });
    await store.commit(commitOf(putRoute('a'), putRoute('b'), putRoute('c')));
    await store.commit(commitOf(putRoute('d'), putOrder('o', null), putRoute('e'), putRoute('f')));
    t.same(await ids(store), ['f', 'e', 'd', 'c', 'b']);
    await store.commit(commitOf(...Array.from({ length: 12 }, (_, index) => putRoute(`r${index}`))));
    t.same(await ids(store), ['r11', 'r10', 'r9', 'r8', 'r7'], 'however many one commit changes');
    store.boundJournal({ ageMs: 3_600_000, entries: 0 });
    t.same(await ids(store), []);
    await store.commit(commitOf(putRoute('g')));
    store.boundJournal({ ageMs: 3_600_000, entries: 5 });
    t.same(await ids(store), [], 'none is kept where none is wanted');
  });

  await t.test('what is older than the journal keeps is neither shown nor kept', async (t) => {
    const { store, pass } = await backend.bench(t);
    await store.commit(commitOf(putRoute('a')));
    await pass(1_500);
    store.boundJournal({ ageMs: 1_000, entries: 5 });
    t.same(await ids(store), []);
    await store.commit(commitOf(putRoute('b')));
    store.boundJournal({ ageMs: 3_600_000, entries: 5 });
    t.same(await ids(store), ['b']);
  });
}

function put1<K extends Kind>(kind: K, value: object): Change {
  return { op: 'put', kind, id: 'one', value } as Change;
}

/** In pages of two. */
async function allEntries(store: ConfigStore): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await store.readJournal({ limit: 2, cursor });
    entries.push(...page.items);
    cursor = page.next;
  }
  return entries;
}

const ids = async (store: ConfigStore) => (await allEntries(store)).map(({ id }) => id);
