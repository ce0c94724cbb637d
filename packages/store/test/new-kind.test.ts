import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Kind, StoredRecord } from '@lockstep/contract';
import type { ConfigStore } from '@lockstep/store';
import { startRedis, testFolder } from '@lockstep/testkit';
import t from 'tap';

const packages = fileURLToPath(new URL('../..', import.meta.url));

/** As a kind, for the types of the contract that does not have it. */
const notice = 'notice' as Kind;
const noticeModule = `
import { isText } from '../shared/fields.ts';
import { recordKind } from './kind-module.ts';

export interface NoticeRecord {
  text: string;
  language: string;
}

/** Version 1 had no language. */
export const notice = recordKind<NoticeRecord>()({
  kind: 'notice',
  audience: 'edge',
  version: 2,
  secret: {},
  journal: () => true,
  upgrade: ({ text }) => ({ text: String(text), language: 'en' }),
  fault: ({ text, language }) => (isText(text) && isText(language) ? null : 'has no text'),
});
`;

t.test(
  'a kind is added by a module and its place in the list: nothing else of the store knows kinds',
  async (t) => {
    const { contract, store: library } = await packagesWithNotice(t.testdir());
    t.ok(contract.kinds.includes(notice) && contract.edgeKinds.includes(notice));
    const server = await startRedis();
    t.teardown(() => server.close());
    const path = join(testFolder(t), 'store.db');
    for (const store of [
      library.createSqliteStore({ path }),
      library.createRedisStore({ url: server.url, prefix: `test-${randomUUID()}` }),
    ]) {
      t.teardown(() => store.close());
      await store.open({ create: true, expectedEpoch: null });
      const put = (id: string, value: object) =>
        store.commit({ id, changes: [{ op: 'put', kind: notice, id, value, dueAt: 5 }] } as never);
      await put('today', { text: 'hello', language: 'de' });
      await put('earlier', { version: 1, text: 'hello' });
      await put('later', { version: 3, text: { de: 'hallo' } });

      t.same((await store.get(notice, 'today'))?.value, { text: 'hello', language: 'de' });
      t.same((await store.get(notice, 'earlier'))?.value, { text: 'hello', language: 'en' });
      await t.rejects(store.get(notice, 'later'), { code: 'internal', facts: { id: 'later' } });
      t.same(await readIds(store.listDue(notice, 10, 10)), ['earlier', 'today']);
      t.same(await store.check(), []);
      t.match((await store.readJournal({ limit: 1 })).items, [{ kind: notice, id: 'later' }]);

      const [later] = await notUpToDate(store, contract.edgeKinds);
      t.equal(
        contract.recordFault(later),
        'is of version 3, where version 2 is read',
        'for edges to refuse by name',
      );
    }
  },
);

async function readIds(records: Promise<{ id: string }[]>): Promise<string[]> {
  return (await records).map(({ id }) => id).sort();
}

/** The records of a snapshot whose value is not of today's version. */
async function notUpToDate(store: ConfigStore, kinds: readonly Kind[]): Promise<StoredRecord[]> {
  const stop = new AbortController();
  for await (const event of store.follow(null, { kinds, signal: stop.signal })) {
    if (event.type !== 'snapshot') continue;
    const records = (await Array.fromAsync(event.records)).flat();
    stop.abort();
    return records.filter(({ value }) => 'version' in value);
  }
  return [];
}

/** The contract and the store, copied, with one kind more. */
async function packagesWithNotice(folder: string) {
  for (const name of ['contract', 'store']) {
    cpSync(join(packages, name, 'src'), join(folder, name, 'src'), { recursive: true });
    cpSync(join(packages, name, 'package.json'), join(folder, name, 'package.json'));
  }
  mkdirSync(join(folder, 'node_modules/@lockstep'), { recursive: true });
  symlinkSync(join(folder, 'contract'), join(folder, 'node_modules/@lockstep/contract'));
  for (const name of ['zod', 'ioredis']) {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    symlinkSync(dirname(manifest), join(folder, 'node_modules', name));
  }

  const records = join(folder, 'contract/src/records');
  writeFileSync(join(records, 'notice.ts'), noticeModule);
  const list = readFileSync(join(records, 'kinds.ts'), 'utf8');
  const longer = `import { notice } from './notice.ts';\n${list}`.replace(
    '  staple,\n',
    '  staple,\n  notice,\n',
  );
  writeFileSync(join(records, 'kinds.ts'), longer);

  const load = (name: string) => import(pathToFileURL(join(folder, name, 'src/index.ts')).href);
  const contract: typeof import('@lockstep/contract') = await load('contract');
  const store: typeof import('@lockstep/store') = await load('store');
  return { contract, store };
}
