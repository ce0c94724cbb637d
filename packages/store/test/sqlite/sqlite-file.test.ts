import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { createSqliteStore, dumpSqlite } from '@lockstep/store';
import { testFolder } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { commitOf, putRoute } from '../conformance/records.ts';
import { contentOf, followView } from '../conformance/view.ts';

const index = new URL('../../src/index.ts', import.meta.url).href;

/** A process that commits without end, and says each revision after `commit` returned. */
async function startWriter(
  t: Test,
  path: string,
): Promise<{ child: ChildProcess; revision(n: number): Promise<void> }> {
  const script = `
    import { createSqliteStore } from ${JSON.stringify(index)};
    const store = createSqliteStore({ path: ${JSON.stringify(path)} });
    await store.open({ create: true, expectedEpoch: null });
    for (let i = 1; ; i++) {
      const change = { op: 'put', kind: 'route', id: 'r' + i, value: { i } };
      console.log((await store.commit({ id: 'commit-' + i, changes: [change] })).number);
      await new Promise((resolve) => setImmediate(resolve));
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let last = 0;
  const lines = createInterface(child.stdout!);
  lines.on('line', (line) => {
    last = Number(line);
  });
  return {
    child,
    async revision(n) {
      while (last < n) await once(lines, 'line');
    },
  };
}

t.test('a process that is killed leaves every commit it returned from', async (t) => {
  const path = join(testFolder(t), 'store.db');
  const { child, revision } = await startWriter(t, path);
  await revision(30);
  t.throws(() => createSqliteStore({ path }), {
    code: 'bad_configuration',
    message: /another process already holds/,
  });
  child.kill('SIGKILL');
  await once(child, 'exit');

  const store = createSqliteStore({ path });
  t.teardown(() => store.close());
  const epoch = await store.open({ create: false, expectedEpoch: null });
  const head = await store.head();
  t.ok(head.number >= 30);
  t.equal(await store.count('route'), head.number);
  const again = await store.commit({ id: 'commit-7', changes: [] });
  t.same(again, { epoch, number: 7, commitId: 'commit-7' }, 'commit ids are remembered');
  t.equal((await store.readLog({ epoch, number: 0, commitId: '' }, 1_000))?.length, head.number);
});

t.test(
  'claims and due dates outlive a close, and so does the order of tokens; leases end with it',
  async (t) => {
    const path = join(testFolder(t), 'new', 'folder', 'store.db');
    const first = createSqliteStore({ path });
    const epoch = await first.open({ create: true, expectedEpoch: null });
    await first.commit(commitOf({ ...putRoute('a'), dueAt: 5 } as ReturnType<typeof putRoute>));
    const lease = await first.acquireLease('a', 600_000);
    await first.close();
    await t.rejects(first.get('route', 'a'), { code: 'store_unavailable' });

    const second = createSqliteStore({ path });
    t.teardown(() => second.close());
    t.equal(await second.open({ create: true, expectedEpoch: epoch }), epoch);
    await t.rejects(second.commit(commitOf(putRoute('b', ['a.example.com']))), { code: 'host_taken' });
    t.equal(await second.nextDue('route'), 5);
    const after = await second.acquireLease('a', 600_000);
    t.ok(after!.token > lease!.token, 'whoever held it went with the process');
    await t.rejects(second.commit({ ...commitOf(putRoute('c')), lease: lease! }), { code: 'lease_lost' });
    t.equal(statSync(path).mode & 0o077, 0, 'the file is the owner’s alone');
  },
);

t.test('what cannot be a store is refused in a sentence', async (t) => {
  const folder = testFolder(t, { file: 'text', 'other.db': '' });
  writeFileSync(join(folder, 'other.db'), 'not a database at all, but long enough to look at'.repeat(50));
  const refused = (path: string, message: RegExp) =>
    t.throws(() => createSqliteStore({ path: join(folder, path) }), { code: 'bad_configuration', message });
  refused('file/store.db', /cannot be written/);
  refused('', /cannot be written/);
  refused('other.db', /not a store/);
  if (process.getuid?.() !== 0) {
    chmodSync(folder, 0o500);
    t.teardown(() => chmodSync(folder, 0o700));
    refused('store.db', /cannot be written/);
  }
});

t.test('a store that another revision made is refused in a sentence, and stays as it is', async (t) => {
  const path = join(testFolder(t), 'store.db');
  const store = createSqliteStore({ path });
  await store.open({ create: true, expectedEpoch: null });
  await store.commit(commitOf(putRoute('a')));
  await store.close();
  for (const [format, which] of [
    [0, 'an earlier'],
    [1_000, 'a later'],
  ] as const) {
    const file = new DatabaseSync(path);
    file.exec(`PRAGMA user_version = ${format}`);
    file.close();
    const message = new RegExp(`store.db was made by ${which} revision of Lockstep.*another --data-dir`);
    t.throws(() => createSqliteStore({ path }), { code: 'bad_configuration', message });
    await t.rejects(dumpSqlite(path).next(), { code: 'bad_configuration', message });
    const kept = new DatabaseSync(path);
    t.match(kept.prepare('SELECT count(*) AS n FROM records').get(), { n: 1 });
    kept.close();
  }
});

t.test('a store in memory keeps nothing', async (t) => {
  const one = createSqliteStore({ path: ':memory:' });
  const two = createSqliteStore({ path: ':memory:' });
  t.teardown(() => Promise.all([one.close(), two.close()]));
  const epochs = await Promise.all(
    [one, two].map((store) => store.open({ create: true, expectedEpoch: null })),
  );
  t.not(epochs[0], epochs[1]);
  await one.commit(commitOf(putRoute('a')));
  t.equal(await two.get('route', 'a'), null);
});

t.test('writes of one turn share a transaction, and each learns its own result', async (t) => {
  const path = join(testFolder(t), 'store.db');
  const store = createSqliteStore({ path });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const once = commitOf(putRoute('a', ['a.example.com']));
  const outcomes = await Promise.allSettled([
    store.commit(once),
    store.commit({ ...commitOf(putRoute('b')), checks: [{ kind: 'route', id: 'a', revision: null }] }),
    store.commit(commitOf(putRoute('c', ['a.example.com']))),
    store.commit(once),
    store.commit({ ...commitOf(putRoute('d')), lease: { name: 'none', token: 1, expiresAt: 1 } }),
    store.commit({ ...commitOf(putRoute('e')), checks: [{ kind: 'route', id: 'a', revision: 1 }] }),
    // A claim that SQLite does not take: the write fails half-way, and alone.
    store.commit(commitOf(putRoute('f'), { ...putRoute('g'), claims: [null] } as never)),
    store.commit(commitOf(putRoute('h'))),
  ]);
  t.match(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.number : outcome.reason.code)),
    [1, 'revision_conflict', 'host_taken', 1, 'lease_lost', 2, /./, 3],
  );
  const { items } = await store.list('route', { limit: 10 });
  t.same(
    items.map(({ id, revision }) => [id, revision]),
    [
      ['a', 1],
      ['e', 2],
      ['h', 3],
    ],
  );
  const log = await store.readLog({ epoch: store.epoch!, number: 0, commitId: '' }, 10);
  t.same(log?.map(({ previousCommitId }) => previousCommitId)[1], once.id);
});

t.test('a hundred writes at once wait for the disk a few times, not a hundred', async (t) => {
  const path = join(testFolder(t), 'store.db');
  const store = createSqliteStore({ path });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  let turns = 0;
  let done = false;
  const count = () => {
    turns += 1;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  await Promise.all(Array.from({ length: 100 }, (_, index) => store.commit(commitOf(putRoute(`r${index}`)))));
  done = true;
  t.equal((await store.head()).number, 100);
  t.ok(turns < 90, `${turns} turns of the event loop`);
});

t.test(
  'a record that cannot be read is left out, given to followers without a value, and can be replaced',
  async (t) => {
    const path = join(testFolder(t), 'store.db');
    const before = createSqliteStore({ path });
    await before.open({ create: true, expectedEpoch: null });
    for (const id of ['a', 'b', 'c']) await before.commit(commitOf(putRoute(id)));
    await before.close();
    const file = new DatabaseSync(path);
    file.exec("UPDATE records SET value = '{' WHERE id = 'b'");
    file.close();

    const store = createSqliteStore({ path });
    t.teardown(() => store.close());
    await store.open({ create: false, expectedEpoch: null });
    await t.rejects(store.get('route', 'b'), { code: 'internal', message: /route\/b/ });
    t.match(await store.getMany('route', ['a', 'b']), [{ id: 'a' }, null]);
    const { items } = await store.list('route', { limit: 10 });
    t.same(
      items.map(({ id }) => id),
      ['a', 'c'],
    );
    const view = followView(t, store.follow, null);
    await view.until(() => view.seen.includes('current'));
    t.match(view.records['route/b'], { value: null });
    await view.reached(await store.commit(commitOf(putRoute('b'))));
    t.same(view.records, await contentOf(store));
  },
);
t.test('a write under way when the store is closed is made, and tells so', async (t) => {
  const path = join(testFolder(t), 'store.db');
  const store = createSqliteStore({ path });
  await store.open({ create: true, expectedEpoch: null });
  const write = store.commit(commitOf(putRoute('a')));
  await store.close();
  t.equal((await write).number, 1);
  await t.rejects(store.commit(commitOf(putRoute('b'))), { code: 'store_unavailable' });
  const again = createSqliteStore({ path });
  t.teardown(() => again.close());
  t.match(await again.get('route', 'a'), { revision: 1 });
});
