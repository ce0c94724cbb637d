import { randomUUID } from 'node:crypto';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRedisStore } from '@lockstep/store';
import { startRedis, testFolder, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t from 'tap';
import { commitOf, putRoute } from '../conformance/records.ts';
import { contentOf } from '../conformance/view.ts';

/** As docs/operations.md says, since Redis 7 with `appendonly yes` reads no dump.rdb that was put back. */
t.test('a dump.rdb that is put back the documented way is there, with appendonly too', async (t) => {
  const folder = testFolder(t, { first: {}, second: {} });
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  const prefix = `test-${randomUUID()}`;
  const admin = async (url: string) => {
    const client = new Redis(url);
    t.teardown(() => client.disconnect());
    client.on('error', () => {});
    return client;
  };

  const before = await startRedis({ dir: first });
  t.teardown(() => before.close());
  const store = createRedisStore({ url: before.url, prefix });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const kept = await store.commit(commitOf(putRoute('a'), putRoute('b')));
  const content = await contentOf(store);
  await (await admin(before.url)).save();
  await copyFile(join(first, 'dump.rdb'), join(second, 'dump.rdb'));
  const lost = await store.commit(commitOf(putRoute('c')));
  await store.close();
  await before.kill();

  const loading = await startRedis({ dir: second, args: ['--appendonly', 'no'] });
  t.teardown(() => loading.close());
  const client = await admin(loading.url);
  await client.config('SET', 'appendonly', 'yes');
  await waitFor(async () => /aof_rewrite_in_progress:0/.test(await client.info('persistence')), {
    what: 'the append-only file',
  });
  await loading.stop();
  const after = await startRedis({ dir: second });
  t.teardown(() => after.close());
  const restored = createRedisStore({ url: after.url, prefix });
  t.teardown(() => restored.close());
  const epoch = await restored.open({ create: false, expectedEpoch: kept.epoch, known: lost });
  t.same(await contentOf(restored), content);
  t.match(await restored.listTurns(), [{ reason: 'went_back', epoch, kept, lost }]);
});
