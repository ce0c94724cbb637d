import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createRedisStore, createSqliteStore } from '@lockstep/store';
import { startRedis, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { runLockstep } from './lockstep-process.ts';

t.test('backup and restore carry a store from Redis to `lockstep up`, and say what they did', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const env = { LOCKSTEP_STORE: server.url, LOCKSTEP_STORE_PREFIX: 'fleet' };
  const cwd = testFolder(t, { data: {} });
  const store = createRedisStore({ url: server.url, prefix: 'fleet' });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const at = new Date().toISOString();
  const value = { sealed: `sealed at ${at}` };
  await store.commit({ id: randomUUID(), changes: [{ op: 'put', kind: 'canary', id: 'canary', value }] });

  const run = (...args: string[]) => runLockstep(t, args, { env, cwd });
  t.match(await run('backup', '--output', 'file'), { code: 0, output: '1 records at revision 1\n' });
  t.match(await run('restore', 'file'), { code: 1, output: /^lockstep: .*empty one only\n$/ });
  t.match(await run('restore', 'file', '--data-dir', 'data'), {
    code: 0,
    output: '1 records; the history goes on at revision 2\n',
  });
  const embedded = createSqliteStore({ path: join(cwd, 'data', 'store.db') });
  t.teardown(() => embedded.close());
  await embedded.open({ create: false, expectedEpoch: store.epoch });
  t.match(await embedded.get('canary', 'canary'), { value });
  t.match(await run('backup', '--data-dir', 'data', '--output', 'two'), {
    code: 1,
    output: /another process/,
  });
  t.match(await run('backup', '--data-dir', 'nothing', '--output', 'two'), { code: 1, output: /no store/ });
  t.match(await run('backup', '--output', 'no/such/folder'), { code: 1, output: /cannot be written/ });
  t.match(await run('restore', 'missing'), { code: 1, output: /cannot be read/ });
});
