import { randomUUID } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createRedisStore,
  createSqliteStore,
  dumpRedis,
  dumpSqlite,
  fillRedis,
  fillSqlite,
  readBackup,
  writeBackup,
} from '@lockstep/store';
import { startRedis, testFolder } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { commitOf, putOrder, putRoute, remove } from '../conformance/records.ts';
import { contentOf } from '../conformance/view.ts';

t.test('backups', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const { url } = server;
  const newPrefix = () => `test-${randomUUID()}`;

  async function redisStore(t: Test, prefix: string) {
    const store = createRedisStore({ url, prefix });
    t.teardown(() => store.close());
    return store;
  }

  async function filled(t: Test) {
    const prefix = newPrefix();
    const store = await redisStore(t, prefix);
    await store.open({ create: true, expectedEpoch: null });
    for (let i = 0; i < 30; i++) await store.commit(commitOf(putRoute(`r${i}`), putOrder(`o${i}`, i, i % 3)));
    await store.commit(commitOf(remove('route', 'r7')));
    return { prefix, store };
  }

  await t.test('taken beside commits, hold the store as it stood at their revision', async (t) => {
    const { prefix, store } = await filled(t);
    const file = join(testFolder(t), 'backup');
    let writing = true;
    const contents = new Map<number, unknown>();
    const writer = (async () => {
      for (let i = 0; writing; i++) {
        const id = `r${i % 40}`;
        const { number } = await store.commit(commitOf(i % 5 === 0 ? remove('route', id) : putRoute(id)));
        contents.set(number, await contentOf(store));
      }
    })();
    const { position } = await writeBackup(file, dumpRedis({ url, prefix }));
    writing = false;
    await writer;
    t.equal((await stat(file)).mode & 0o777, 0o600);

    const other = newPrefix();
    const begun = await fillRedis({ url, prefix: other }, await readBackup(file));
    const restored = await redisStore(t, other);
    t.equal(
      await restored.open({ create: false, expectedEpoch: store.epoch }),
      begun.epoch,
      'of the same history',
    );
    t.same(await contentOf(restored), contents.get(position.number) ?? (await contentOf(store)));
  });

  await t.test('keep claims, dates and revisions, and go on in a new epoch', async (t) => {
    const { prefix, store } = await filled(t);
    const file = join(testFolder(t), 'backup');
    const { position } = await writeBackup(file, dumpRedis({ url, prefix }));
    t.same(position, await store.head());
    const other = newPrefix();
    await fillRedis({ url, prefix: other }, await readBackup(file));
    const restored = await redisStore(t, other);
    const epoch = await restored.open({ create: false, expectedEpoch: null });
    t.not(epoch, store.epoch);
    t.same(await contentOf(restored), await contentOf(store));
    t.same(await restored.findClaims('', 100), await store.findClaims('', 100));
    for (const lane of [0, 1, 2]) {
      t.same(await restored.listDue('order', 100, 100, lane), await store.listDue('order', 100, 100, lane));
    }
    t.match(await restored.listTurns(), [{ reason: 'restored', kept: position, epoch }]);
    t.same((await restored.readJournal({ limit: 10 })).items, [], 'the journal begins anew');
    t.match(await restored.commit(commitOf(putRoute('new'))), { epoch, number: position.number + 2 });
    await t.rejects(restored.commit(commitOf(putRoute('x', ['r1.example.com']))), { code: 'host_taken' });
  });

  await t.test('go from one backend to the other and back', async (t) => {
    const { prefix, store } = await filled(t);
    const folder = testFolder(t);
    await writeBackup(join(folder, 'one'), dumpRedis({ url, prefix }));
    const path = join(folder, 'store.db');
    await fillSqlite(path, await readBackup(join(folder, 'one')));
    const embedded = createSqliteStore({ path });
    await embedded.open({ create: false, expectedEpoch: store.epoch });
    t.same(await contentOf(embedded), await contentOf(store));
    t.same(await embedded.listDue('order', 100, 100, 1), await store.listDue('order', 100, 100, 1));
    await embedded.commit(commitOf(putRoute('new')));
    const content = await contentOf(embedded);
    await t.rejects(writeBackup(join(folder, 'two'), dumpSqlite(path)), { message: /another process/ });
    await embedded.close();
    await writeBackup(join(folder, 'two'), dumpSqlite(path));
    const other = newPrefix();
    await fillRedis({ url, prefix: other }, await readBackup(join(folder, 'two')));
    const restored = await redisStore(t, other);
    await restored.open({ create: false, expectedEpoch: store.epoch });
    t.same(await contentOf(restored), content);
    t.equal((await restored.listTurns()).length, 2);
  });

  await t.test('are put into an empty store only, and never half', async (t) => {
    const { prefix } = await filled(t);
    const folder = testFolder(t);
    const file = join(folder, 'backup');
    await writeBackup(file, dumpRedis({ url, prefix }));
    await t.rejects(fillRedis({ url, prefix }, await readBackup(file)), { code: 'wrong_state' });

    const text = await readFile(file, 'utf8');
    const lines = text.split('\n');
    const damages = {
      'no backup': 'something else',
      'an empty file': '',
      'a file that was cut off': text.slice(0, -200),
      'a file without its last line': lines.slice(0, -2).join('\n'),
      'a file with a line less': lines.toSpliced(5, 1).join('\n'),
      'a file with another letter': text.replace('r3.example.com', 'r4.example.com'),
    };
    for (const [what, damaged] of Object.entries(damages)) {
      await writeFile(file, damaged);
      await t.rejects(readBackup(file), { code: 'bad_configuration' }, what);
    }
    await t.rejects(readBackup(join(folder, 'missing')), { code: 'bad_configuration' });
    await writeFile(file, text);

    const other = newPrefix();
    const backup = await readBackup(file);
    const broken = {
      ...backup,
      async *rows() {
        let left = 10;
        for await (const row of backup.rows()) {
          if (left-- === 0) throw new Error('broken off');
          yield row;
        }
      },
    };
    await t.rejects(fillRedis({ url, prefix: other }, broken), { message: 'broken off' });
    const control = await redisStore(t, other);
    await t.rejects(control.open({ create: true, expectedEpoch: null }), {
      code: 'store_lost',
      message: /backup/,
    });
    const admin = new Redis(url);
    t.teardown(() => admin.disconnect());
    await admin.zadd(`{${other}}:edge:ids`, 0, 'route/leftover');
    await fillRedis({ url, prefix: other }, backup);
    await control.open({ create: true, expectedEpoch: null });
    t.equal(await control.count('route'), 29);
  });
});
