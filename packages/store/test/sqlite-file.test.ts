import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createSqliteStore } from '@lockstep/store';
import t, { type Test } from 'tap';
import { commitOf, putRoute } from './conformance/records.ts';

const index = new URL('../src/index.ts', import.meta.url).href;

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
  const path = join(t.testdir(), 'store.db');
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

t.test('claims, due dates, leases and tokens outlive a close', async (t) => {
  const path = join(t.testdir(), 'new', 'folder', 'store.db');
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
  t.equal(await second.acquireLease('a', 1), null);
  t.ok((await second.acquireLease('b', 1))!.token > lease!.token);
  t.equal(statSync(path).mode & 0o077, 0, 'the file is the owner’s alone');
});

t.test('what cannot be a store is refused in a sentence', async (t) => {
  const folder = t.testdir({ file: 'text', 'other.db': '' });
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
