import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { deriveEdgeKey, generateSecretKey } from '@lockstep/pki/sealer';
import { createSqliteStore } from '@lockstep/store';
import { freePortsInARow, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { runLockstep } from './lockstep-process.ts';
import { upArgs } from './up-args.ts';

t.test('a taken port: one line with the port and its flag, and nothing is started', async (t) => {
  const folder = testFolder(t, {});
  const first = await freePortsInARow(7);
  for (const [offset, flag] of Object.entries({
    0: '--port',
    2: '--https-port',
    3: '--http-port',
    6: '--admin-port',
  })) {
    const port = first + Number(offset);
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    const { code, output } = await runLockstep(t, upArgs(first, folder));
    t.equal(code, 1);
    t.match(output, new RegExp(`^lockstep: port ${port} [^\\n]*taken[^\\n]* ${flag}\\n$`));
    server.close();
    await once(server, 'close');
  }
  t.notOk(existsSync(join(folder, 'data', 'admin-token')), 'not even a secret was made');
});

t.test('a data folder that cannot be: one line with the folder and its flag', async (t) => {
  const folder = testFolder(t, { file: '' });
  const { code, output } = await runLockstep(t, [
    ...upArgs(await freePortsInARow(7), folder),
    '--data-dir',
    join(folder, 'file', 'data'),
  ]);
  t.equal(code, 1);
  t.match(output, /^lockstep: [^\n]*file\/data[^\n]* --data-dir\n$/);
});

t.test('a bad key, and a bad token, are refused before anything listens', async (t) => {
  const args = upArgs(await freePortsInARow(7), testFolder(t, {}));
  const key = await runLockstep(t, args, { env: { LOCKSTEP_SECRET_KEY: 'hunter2' } });
  t.match(key, { code: 1, output: /^lockstep: [^\n]*\n$/ });
  t.notMatch(key.output, 'hunter2');
  const edgeKey = deriveEdgeKey(generateSecretKey());
  const ofEdges = await runLockstep(t, args, { env: { LOCKSTEP_SECRET_KEY: edgeKey } });
  t.match(ofEdges, {
    code: 1,
    output: /^lockstep: the secret key is an edge key[^\n]*lockstep keygen[^\n]*\n$/,
  });
  t.notOk(ofEdges.output.includes(edgeKey));
  const token = await runLockstep(t, args, { env: { LOCKSTEP_ADMIN_TOKEN: 'hunter2' } });
  t.match(token, { code: 1, output: /^lockstep: LOCKSTEP_ADMIN_TOKEN [^\n]*\n$/ });
});

t.test('a store.db that is no database is refused in one line', async (t) => {
  const folder = testFolder(t, { data: {} });
  writeFileSync(
    join(folder, 'data', 'store.db'),
    'not a database, and long enough to be read as one'.repeat(100),
  );
  const { code, output } = await runLockstep(t, upArgs(await freePortsInARow(7), folder));
  t.match({ code, output }, { code: 1, output: /^lockstep: [^\n]*store\.db[^\n]*\n$/ });
});

t.test('a data folder of an earlier revision is called that, with what to do', async (t) => {
  const folder = testFolder(t, { data: {} });
  const store = createSqliteStore({ path: join(folder, 'data', 'store.db') });
  await store.open({ create: true, expectedEpoch: null });
  const sealed = 'v1.0123abcd.AAAA';
  await store.commit({
    id: 'one',
    changes: [{ op: 'put', kind: 'canary', id: 'canary', value: { sealed } }],
  });
  await store.close();
  const { code, output } = await runLockstep(t, upArgs(await freePortsInARow(7), folder));
  t.match(
    { code, output },
    { code: 1, output: /\nlockstep: [^\n]*earlier revision[^\n]*another --data-dir[^\n]*\n$/ },
  );
});
