import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type ConfigStore, dumpStore, fillStore, openStore, readBackup, writeBackup } from '@lockstep/store';
import { startRedis, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { commitOf, putRoute } from './conformance/records.ts';

t.test('an address alone says which store is opened, backed up and filled', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const folder = testFolder(t);
  const prefix = `test-${randomUUID()}`;
  const other = `${prefix}-other`;
  const stores: ConfigStore[] = [];
  t.teardown(() => Promise.all(stores.map((store) => store.close())));
  const open = async (url: string, prefix?: string) => {
    const store = await openStore(url, { prefix });
    stores.push(store);
    return store;
  };
  for (const [from, to] of [
    [`sqlite:${join(folder, 'one.db')}`, server.url],
    [server.url, `sqlite:${join(folder, 'two.db')}`],
  ] as const) {
    const file = join(folder, randomUUID());
    const first = await open(from, prefix);
    await first.open({ create: true, expectedEpoch: null });
    await first.commit(commitOf(putRoute('a')));
    await first.close();
    await writeBackup(file, dumpStore(from, prefix));
    await fillStore(to, other, await readBackup(file));
    const second = await open(to, other);
    await second.open({ create: false, expectedEpoch: null });
    t.match(await second.get('route', 'a'), { id: 'a' }, `${from.slice(0, 6)} to ${to.slice(0, 6)}`);
  }
  const inMemory = await open('sqlite::memory:');
  t.ok(await inMemory.open({ create: true, expectedEpoch: null }));
  for (const url of ['', 'sqlite:', 'file:///x', 'mysql://host'])
    await t.rejects(openStore(url), { code: 'bad_configuration' }, url);
});
