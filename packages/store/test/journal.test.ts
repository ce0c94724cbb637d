import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type ConfigStore, createRedisStore, createSqliteStore } from '@lockstep/store';
import { startRedis, testFolder } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t from 'tap';
import { commitOf, putRoute } from './conformance/records.ts';

/** What is sealed stands in a record and in its entry of the log; once these are gone it stands nowhere. */
async function putAndReplace(store: ConfigStore): Promise<void> {
  await store.open({ create: true, expectedEpoch: null });
  for (const [round, sealedKey] of ['v1.SECRET-1', 'v1.SECRET-2', 'v1.OTHER'].entries())
    await store.commit(
      commitOf({ op: 'put', kind: 'authority', id: 'a', value: { certificate: `PEM ${round}`, sealedKey } }),
    );
}

t.test('what was secret in a record is not in the journal that Redis holds', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const store = createRedisStore({ url: server.url, prefix: 'test' });
  t.teardown(() => store.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());
  await putAndReplace(store);
  const held = JSON.stringify(await admin.xrange('{test}:journal', '-', '+'));
  t.match(held, /PEM/);
  t.notMatch(held, /SECRET|OTHER/);

  await t.test('and a journal that is of another type begins anew with the next entry', async (t) => {
    await admin.del('{test}:journal');
    await admin.set('{test}:journal', 'junk');
    await t.rejects(store.readJournal({ limit: 10 }), { code: 'store_unavailable' });
    await store.commit(commitOf(putRoute('r')));
    t.match((await store.readJournal({ limit: 10 })).items, [{ kind: 'route', id: 'r' }]);
    await admin.xadd('{test}:journal', '*', 'record', 'route/odd', 'after', '{');
    await store.commit(commitOf(putRoute('s')));
    t.match(
      (await store.readJournal({ limit: 10 })).items,
      [{ id: 's' }, { id: 'r' }],
      'nor one that is odd',
    );
  });
});

t.test('what was secret in a record is not in the file of the embedded store', async (t) => {
  const path = join(testFolder(t), 'store.db');
  const store = createSqliteStore({ path, logEntries: 1 });
  await putAndReplace(store);
  await store.close();
  const again = createSqliteStore({ path, logEntries: 1 });
  await again.open({ create: false, expectedEpoch: null });
  t.equal((await again.readJournal({ limit: 10 })).items.length, 3, 'the journal outlives the process');
  await again.close();
  const database = new DatabaseSync(path);
  const held = JSON.stringify(database.prepare('SELECT * FROM journal').all());
  database.close();
  t.match(held, /PEM/);
  t.notMatch(held, /SECRET|OTHER/);
});
