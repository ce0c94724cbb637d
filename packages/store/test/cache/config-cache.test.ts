import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  AppError,
  edgeKinds,
  type LogEntry,
  type LoggedChange,
  type Position,
  type StoredRecord,
} from '@lockstep/contract';
import { type ConfigCacheOptions, createConfigCache, type Sealer } from '@lockstep/store';
import { testFolder } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { noOrigin, route } from '../conformance/records.ts';

function sealerWith(key: Buffer): Sealer {
  return {
    seal(plaintext, context) {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context));
      return Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString(
        'base64',
      );
    },
    isCurrent: () => true,
    open(sealed, context) {
      const bytes = Buffer.from(sealed, 'base64');
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
        decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-16));
        return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString();
      } catch (cause) {
        throw new AppError('wrong_secret_key', 'cannot be opened', { cause });
      }
    },
  };
}

function bench(t: Test) {
  const path = join(testFolder(t), 'edge', 'cache.db');
  const warnings: string[] = [];
  const log = { info: () => {}, warn: (_: object, message: string) => warnings.push(message) };
  const sealer = sealerWith(randomBytes(32));
  return {
    path,
    warnings,
    sealer,
    open(options: Partial<ConfigCacheOptions> = {}) {
      const cache = createConfigCache({ path, sealer, log, ...options });
      t.teardown(() => cache.close());
      return cache;
    },
  };
}

const at = (number: number): Position => ({ epoch: 'e', number, commitId: `c${number}` });
const entry = (number: number, ...changes: LoggedChange[]): LogEntry => ({
  position: at(number),
  ...noOrigin,
  previousCommitId: number === 1 ? null : `c${number - 1}`,
  changes,
});
const put = (id: string, hosts: string[]): LoggedChange => ({
  op: 'put',
  kind: 'route',
  id,
  value: route(hosts),
});
const stored = (id: string, revision: number, hosts: string[]): StoredRecord => ({
  kind: 'route',
  id,
  revision,
  value: route(hosts),
});
const snapshot = (position: Position, ...batches: StoredRecord[][]) => ({
  type: 'snapshot' as const,
  position,
  records: (async function* () {
    yield* batches;
  })(),
});
const ids = (batches: Iterable<StoredRecord[]>) => [...batches].flat().map(({ kind, id }) => `${kind}/${id}`);

t.test('a new cache is empty, and takes a snapshot and commits that outlive the process', async (t) => {
  const { open } = bench(t);
  const first = open();
  t.equal(first.position(), null);
  t.equal(first.hosts(), 0);
  const staged = await first.stage(
    snapshot(at(4), [stored('a', 2, ['x.example', 'y.example']), stored('b', 4, ['y.example'])]),
  );
  t.match(staged, { position: at(4), hosts: 2, removed: { hosts: 0, certificates: 0 } });
  t.equal(first.position(), null, 'nothing changes before accept');
  t.same(ids(first.batches()), []);
  staged.accept();
  first.apply([entry(5, put('c', ['z.example']), { op: 'delete', kind: 'route', id: 'a' })]);
  first.close();

  const second = open();
  t.equal(second.home, first.home);
  t.same(second.position(), at(5));
  t.same(ids(second.batches()), ['route/b', 'route/c']);
  t.same(ids(second.batches(['certificate'])), []);
  t.same(second.get('route', 'c'), stored('c', 5, ['z.example']));
  t.equal(second.get('route', 'a'), null);
  t.equal(second.count('route'), 2);
  t.equal(second.hosts(), 2, 'y.example is still named by b');
});

t.test('a change to a record held at the commit’s number or a later one is skipped', async (t) => {
  const cache = bench(t).open();
  (
    await cache.stage(snapshot(at(4), [stored('a', 6, ['new.example']), stored('b', 3, ['b.example'])]))
  ).accept();
  cache.apply([entry(5, { op: 'delete', kind: 'route', id: 'a' }, { op: 'delete', kind: 'route', id: 'b' })]);
  cache.apply([entry(6, put('a', ['old.example']))]);
  t.same(cache.get('route', 'a'), stored('a', 6, ['new.example']));
  t.equal(cache.get('route', 'b'), null);
  t.equal(cache.hosts(), 1);
  cache.apply([entry(7, put('a', ['newer.example']))]);
  t.match(cache.get('route', 'a'), { revision: 7 });
});

t.test('a commit that does not continue the saved configuration is refused', async (t) => {
  const cache = bench(t).open();
  t.throws(() => cache.apply([entry(1, put('a', ['a']))]), { code: 'internal' });
  (await cache.stage(snapshot(at(4)))).accept();
  for (const wrong of [entry(4), entry(6), { ...entry(5), previousCommitId: 'x' }]) {
    t.throws(() => cache.apply([wrong]), { code: 'internal' });
  }
  t.same(cache.position(), at(4));
});

t.test('names that alsoServe adds count as hosts, and are gone with it', async (t) => {
  const cache = bench(t).open();
  const both = (revision: number, alsoServe?: 'www') => {
    const { value, ...rest } = stored('a', revision, ['example.com']);
    return { ...rest, value: { ...value, alsoServe } } as StoredRecord;
  };
  (await cache.stage(snapshot(at(1), [both(1, 'www'), stored('b', 1, ['www.example.com'])]))).accept();
  t.equal(cache.hosts(), 2);
  t.match(await cache.stage(snapshot(at(2), [both(2)])), { hosts: 1, removed: { hosts: 1 } });
  cache.apply([entry(2, { op: 'delete', kind: 'route', id: 'b' })]);
  t.equal(cache.hosts(), 2, 'www.example.com is still served by a');
  cache.apply([entry(3, { op: 'put', kind: 'route', id: 'a', value: both(3).value as never })]);
  t.equal(cache.hosts(), 1);
});

t.test('a staged snapshot tells what it would remove, and can be discarded', async (t) => {
  const cache = bench(t).open();
  (await cache.stage(snapshot(at(1), [stored('a', 1, ['a', 'b', 'c', 'd'])]))).accept();
  const staged = await cache.stage(snapshot(at(9), [stored('z', 9, ['d', 'e'])]));
  t.match(staged, { hosts: 2, removed: { hosts: 3, certificates: 0 } });
  staged.discard();
  staged.discard();
  t.throws(() => staged.accept(), { code: 'internal' });
  t.same(cache.position(), at(1));
  t.equal(cache.hosts(), 4);
  const next = await cache.stage(snapshot(at(9), [stored('z', 9, ['d', 'e'])]));
  next.accept();
  t.same(ids(cache.batches()), ['route/z']);
  t.equal(cache.hosts(), 2);
});

t.test('a snapshot that breaks off changes nothing', async (t) => {
  const { open } = bench(t);
  const cache = open();
  (await cache.stage(snapshot(at(1), [stored('a', 1, ['a'])]))).accept();
  const records = (async function* () {
    yield [stored('b', 2, ['b'])];
    throw new Error('the network');
  })();
  await t.rejects(cache.stage({ type: 'snapshot', position: at(2), records }), { message: 'the network' });
  t.same(cache.position(), at(1));
  t.same(ids(cache.batches()), ['route/a']);
  (await cache.stage(snapshot(at(3), [stored('c', 3, ['c'])]))).accept();
  t.same(ids(cache.batches()), ['route/c']);
});

t.test('all batches are read, each of at most a thousand records', async (t) => {
  const cache = bench(t).open();
  const records = Array.from({ length: 2_500 }, (_, i) => stored(`r${i}`, 1, [`h${i}`]));
  (await cache.stage(snapshot(at(1), records))).accept();
  t.same(
    [...cache.batches()].map((batch) => batch.length),
    [1_000, 1_000, 500],
  );
  t.equal(new Set(ids(cache.batches())).size, 2_500);
  t.equal(cache.hosts(), 2_500);
});

t.test('the disk shows neither hosts nor values', async (t) => {
  const { open, path } = bench(t);
  const cache = open();
  (await cache.stage(snapshot(at(1), [stored('id', 1, ['secret-host.example'])]))).accept();
  cache.apply([entry(2, put('id2', ['other-secret-host.example']))]);
  const bytes = () =>
    [path, `${path}-wal`].map((file) => (existsSync(file) ? readFileSync(file, 'latin1') : '')).join();
  t.notMatch(bytes(), /secret-host|127\.0\.0\.1/);
  t.match(bytes(), /id2/, 'the file is where the rows are');
});

t.test('another key is found at once, and the file stays', async (t) => {
  const { open, path } = bench(t);
  const cache = open();
  (await cache.stage(snapshot(at(1), [stored('a', 1, ['a'])]))).accept();
  cache.close();
  t.throws(() => open({ sealer: sealerWith(randomBytes(32)) }), { code: 'wrong_secret_key' });
  t.notOk(existsSync(`${path}.damaged`));
  t.same(open().position(), at(1));
});

t.test(
  'what was saved with an older key is sealed anew at the start, and opens with the new one alone',
  async (t) => {
    const { open, path, sealer } = bench(t);
    const cache = open();
    const records = Array.from({ length: 2_500 }, (_, index) => stored(`id-${index}`, 1, [`host-${index}`]));
    (await cache.stage(snapshot(at(1), records))).accept();
    cache.close();
    const damage = new DatabaseSync(path);
    damage.prepare("UPDATE records SET sealed = 'damaged' WHERE id = 'id-7'").run();
    const before = damage.prepare("SELECT sealed FROM records WHERE id <> 'id-7'").all();
    damage.close();

    const newer = sealerWith(randomBytes(32));
    const isNewer = (text: string) => {
      try {
        return newer.open(text, context) !== '';
      } catch {
        return false;
      }
    };
    let context = '';
    const both: Sealer = {
      ...newer,
      isCurrent: () => false,
      open: (text, as) => {
        context = as;
        return isNewer(text) ? newer.open(text, as) : sealer.open(text, as);
      },
    };
    open({ sealer: both }).close();
    const file = readFileSync(path);
    const left = before.filter(({ sealed }) => file.includes(String(sealed)));
    t.same(left, [], 'no free space keeps what was there');
    const rotated = open({ sealer: newer });
    t.same(rotated.position(), at(1));
    t.equal(rotated.hosts(), 2_500);
    t.equal(rotated.get('route', 'id-2400')?.value.hosts[0], 'host-2400');
    t.equal(rotated.get('route', 'id-7'), null, 'a damaged row stays one');
    rotated.close();
    t.throws(() => open(), { code: 'wrong_secret_key', message: /empty data folder/ });
  },
);

t.test('a second cache in the folder is refused, by the folder’s name', async (t) => {
  const { open, path } = bench(t);
  const cache = open();
  t.throws(() => open(), {
    code: 'bad_configuration',
    message: new RegExp(`another process .*${dirname(path)}$`),
  });
  cache.close();
  t.equal(open().home, cache.home);
});

t.test('a folder that cannot be written is refused', async (t) => {
  const { open, path } = bench(t);
  writeFileSync(dirname(path), 'a file');
  t.throws(() => open(), { code: 'bad_configuration', message: /cannot be written/ });
});

for (const damage of ['text', 'pages', 'cut'] as const) {
  t.test(`a damaged file (${damage}) is set aside, and a fresh one begun`, async (t) => {
    const { open, path, warnings } = bench(t);
    const cache = open();
    const records = Array.from({ length: 900 }, (_, i) => stored(`r${i}`, 1, [`h${i}`]));
    (await cache.stage(snapshot(at(1), records))).accept();
    cache.close();
    const bytes = readFileSync(path);
    if (damage === 'text') bytes.fill('garbage ', 0, 4_096);
    if (damage === 'pages') bytes.fill(0xab, 100);
    writeFileSync(path, damage === 'cut' ? bytes.subarray(0, 5_000) : bytes);
    const asides: string[] = [];
    const fresh = open({ onSetAside: (aside) => asides.push(aside) });
    t.equal(fresh.home, cache.home, 'the home outlives the damage');
    t.equal(fresh.position(), null);
    t.same(asides, [`${path}.damaged`]);
    t.ok(existsSync(`${path}.damaged`));
    t.equal(warnings.length, 1);
    (await fresh.stage(snapshot(at(7), [stored('a', 7, ['a'])]))).accept();
    t.same(fresh.position(), at(7));
  });
}

t.test('a damaged row is left out and named, until it comes again', async (t) => {
  for (const [what, damage] of [
    ['its text', "UPDATE records SET sealed = (SELECT sealed FROM records WHERE id = 'a') WHERE id = 'b'"],
    ['its revision', "UPDATE records SET revision = 7 WHERE id = 'b'"],
    ['its key', "UPDATE records SET id = 'b?' WHERE id = 'b'"],
    ['no text', "UPDATE records SET sealed = x'00ff' WHERE id = 'b'"],
  ] as const) {
    const { open, path, warnings } = bench(t);
    const cache = open();
    (
      await cache.stage(
        snapshot(at(1), [stored('a', 1, ['a']), stored('b', 1, ['b']), stored('c', 1, ['c'])]),
      )
    ).accept();
    t.ok(cache.isComplete());
    cache.close();
    const raw = new DatabaseSync(path);
    raw.exec(damage);
    raw.close();
    const told: string[] = [];
    const again = open({ onDamagedRow: ({ kind, id }) => told.push(`${kind}/${id}`) });
    t.same(ids(again.batches()), ['route/a', 'route/c'], what);
    t.equal([...again.batches()].flat().length, 2);
    t.same(again.position(), at(1));
    t.notOk(again.isComplete(), 'it is not to be followed from');
    const [row] = again.damaged;
    t.match(row, { kind: 'route', reason: /damaged/ });
    t.same(told, [`route/${row!.id}`], 'told once');
    t.equal(warnings.length, 1);
    again.apply([entry(2, put(row!.id, ['b']))]);
    t.same(again.damaged, []);
    t.equal(again.get('route', row!.id)?.revision, 2);
  }
});

t.test('a damaged canary or position keeps nothing else from being served', async (t) => {
  for (const key of ['canary', 'position']) {
    const { open, path } = bench(t);
    const cache = open();
    (await cache.stage(snapshot(at(1), [stored('a', 1, ['a'])]))).accept();
    cache.close();
    const raw = new DatabaseSync(path);
    raw.prepare("UPDATE meta SET value = '{' || value WHERE key = ?").run(key);
    raw.close();
    const again = open();
    t.same(ids(again.batches()), ['route/a']);
    t.equal(again.isComplete(), key === 'canary');
    t.not(again.position(), null);
  }
});

t.test('whatever byte of the file is damaged, the rows that can be read are served', async (t) => {
  const { open, path } = bench(t);
  const cache = open();
  const records = Array.from({ length: 200 }, (_, i) => stored(`r${i}`, 1, [`h${i}`]));
  (await cache.stage(snapshot(at(1), records))).accept();
  cache.close();
  const sound = readFileSync(path);
  let least = 200;
  // Page 1 holds what says where the tables are; a byte of every other page, at places that spread over it.
  for (let page = 1, n = 0; (page + 1) * 4_096 <= sound.length; page += 1, n += 1) {
    const bytes = Buffer.from(sound);
    const place = page * 4_096 + [0, 1, 5, 9, 200, 1_999, 3_500][n % 7]!;
    bytes[place] = bytes[place]! ^ 0x5a;
    writeFileSync(path, bytes);
    const damaged = open();
    let served: string[];
    try {
      served = ids(damaged.batches());
    } catch {
      served = ids(damaged.batches());
    }
    if (served.length < 200) t.notOk(damaged.isComplete(), `page ${page} is not to be followed from`);
    least = Math.min(least, served.length);
    damaged.close();
  }
  t.ok(least >= 150, `the worst byte left ${least} of 200`);
});

t.test('a folder that cannot be written is served from, with nothing saved there', async (t) => {
  const { open, path, warnings } = bench(t);
  const cache = open();
  (await cache.stage(snapshot(at(1), [stored('a', 1, ['a'])]))).accept();
  cache.close();
  chmodSync(path, 0o444);
  chmodSync(`${path}.lock`, 0o444);
  chmodSync(dirname(path), 0o555);
  // Permissions do not hold for root.
  const root = process.geteuid?.() === 0;
  for (let folder = dirname(path); root && folder !== '/'; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o005) !== 0o005) chmodSync(folder, (statSync(folder).mode & 0o777) | 0o005);
  }
  if (root) process.seteuid!(65_534);
  try {
    const served = open();
    t.same(ids(served.batches()), ['route/a']);
    t.equal(served.home, cache.home);
    t.notOk(served.persistent);
    t.equal(warnings.length, 1);
    served.apply([entry(2, put('b', ['b']))]);
    t.same(served.position(), at(2), 'it is followed from all the same');
    served.close();
  } finally {
    if (root) process.seteuid!(0);
    chmodSync(dirname(path), 0o755);
  }
  chmodSync(path, 0o644);
  chmodSync(`${path}.lock`, 0o644);
  const again = open();
  t.ok(again.persistent);
  t.same(again.position(), at(1));
});

t.test('what cannot be read where the saved configuration should be costs no start', (t) => {
  const { open, path, warnings } = bench(t);
  mkdirSync(path, { recursive: true });
  const cache = open();
  t.equal(cache.position(), null);
  t.notOk(cache.persistent);
  t.match(warnings.join(), /cannot be read; it is left out/);
  cache.close();
  t.end();
});

t.test('a window of commits is saved at once, whole or not at all', async (t) => {
  const cache = bench(t).open();
  (await cache.stage(snapshot(at(1)))).accept();
  cache.apply([entry(2, put('a', ['a'])), entry(3, put('b', ['b'])), entry(4)]);
  t.same(cache.position(), at(4));
  t.throws(() => cache.apply([entry(5, put('c', ['c'])), entry(7)]), { code: 'internal' });
  t.same(cache.position(), at(4));
  t.equal(cache.hosts(), 2);
});

t.test('records that no edge can read are kept as they are, and stand in the way of nothing', async (t) => {
  const cache = bench(t).open();
  const odd = [undefined, null, 7, 'text', [], {}, { hosts: 7 }, { hosts: [7, null] }];
  const batch = odd.map((value, i) => ({ kind: 'route', id: `odd${i}`, revision: 1, value }));
  const nameless = [null, 7, {}, { kind: 'route', id: 7, revision: 1, value: {} }, { kind: 'x', id: 'x' }];
  (await cache.stage(snapshot(at(1), [...batch, ...nameless, stored('a', 1, ['a'])] as never))).accept();
  t.equal(cache.count('route'), odd.length + 1);
  t.equal(cache.hosts(), 1);
  const changes = odd.map((value, i) => ({ op: 'put', kind: 'route', id: `late${i}`, value }));
  cache.apply([entry(2, ...([null, 7, {}, ...changes] as never[]), put('b', ['b']))]);
  t.equal(cache.count('route'), 2 * odd.length + 2);
  cache.apply([entry(3, ...changes.map(({ kind, id }) => ({ op: 'delete', kind, id }) as never))]);
  t.equal(cache.count('route'), odd.length + 2);
});

t.test('a snapshot that ran ahead of its position is not followed from before that is reached', async (t) => {
  const cache = bench(t).open();
  (await cache.stage(snapshot(at(4), [stored('a', 6, ['a'])]))).accept();
  t.notOk(cache.isComplete());
  cache.apply([entry(5), entry(6, put('a', ['a']))]);
  t.ok(cache.isComplete());
});

t.test('what a release that knew fewer kinds has saved is served, and acknowledges nothing', async (t) => {
  const { path, open } = bench(t);
  const first = open();
  (await first.stage(snapshot(at(5), [stored('a', 3, ['a.example.com'])]))).accept();
  first.close();
  const file = new DatabaseSync(path);
  const { value } = file.prepare("SELECT value FROM meta WHERE key = 'position'").get()!;
  const place = JSON.parse(String(value));
  const kinds = edgeKinds.slice(0, -1);
  file.prepare("UPDATE meta SET value = ? WHERE key = 'position'").run(JSON.stringify({ ...place, kinds }));
  file.close();

  const cache = open();
  t.match(cache.get('route', 'a'), { id: 'a' });
  t.notOk(cache.isComplete());
  t.match(cache.position(), { epoch: 'e', number: 5 });
  t.not(cache.position()?.commitId, at(5).commitId, 'no history has this commit');
  t.throws(() => cache.apply([entry(6)]), { code: 'internal' });
  (await cache.stage(snapshot(at(7), [stored('a', 3, ['a.example.com'])]))).accept();
  t.ok(cache.isComplete());
  t.same(cache.position(), at(7));
});

t.test('a lock file that is damaged is made anew', async (t) => {
  const { open, path } = bench(t);
  const cache = open();
  cache.close();
  writeFileSync(`${path}.lock`, 'garbage '.repeat(1_000));
  t.not(open().home, cache.home);
});

t.test('a snapshot that has the routes but not their certificates removes what was served', async (t) => {
  const cache = bench(t).open();
  const certificate = (host: string, revision: number): StoredRecord => ({
    kind: 'certificate',
    id: host,
    revision,
    value: {
      host,
      issuer: 'internal',
      chain: '',
      sealedKey: '',
      serialNumber: '',
      fingerprint256: '',
      notBefore: '',
      notAfter: '',
      issuedAt: '',
    },
  });
  const routes = stored('a', 1, ['a.example', 'b.example', 'c.example']);
  const all = ['a.example', 'b.example', 'c.example'].map((host) => certificate(host, 2));
  (await cache.stage(snapshot(at(2), [routes, ...all]))).accept();
  const staged = await cache.stage(snapshot(at(9), [routes, certificate('a.example', 9)]));
  t.match(staged, { hosts: 3, removed: { hosts: 0, certificates: 2 } });
  staged.discard();
});

t.test('what another revision saved is discarded with a word, and nothing of it is left', async (t) => {
  const { path, open, warnings } = bench(t);
  const first = open();
  (await first.stage(snapshot(at(4), [stored('a', 2, ['x.example'])]))).accept();
  first.close();
  const file = new DatabaseSync(path);
  file.exec('PRAGMA user_version = 0');
  const [row] = file.prepare('SELECT sealed FROM records').all();
  file.close();

  const cache = open();
  t.equal(cache.position(), null);
  t.equal(cache.isComplete(), false);
  t.equal(cache.hosts(), 0);
  t.match(warnings, [/made by another revision of Lockstep; it is discarded/]);
  t.notOk(readFileSync(path, 'latin1').includes(String(row?.sealed)));
  (await cache.stage(snapshot(at(4), [stored('b', 3, ['y.example'])]))).accept();
  cache.close();
  t.ok(open().isComplete(), 'and what is saved from then on is taken up');
  t.equal(warnings.length, 1);
});

t.test('a record for control planes alone is never saved, whoever hands it on', async (t) => {
  const { path, open } = bench(t);
  const cache = open();
  const secret = { sealedKey: 'sealed' } as never;
  const account = { kind: 'account', id: 'a', revision: 1, value: secret } as const;
  (await cache.stage(snapshot(at(4), [stored('a', 2, ['x.example']), account]))).accept();
  cache.apply([entry(5, { op: 'put', kind: 'settings', id: 'settings', value: secret })]);
  cache.close();
  const file = new DatabaseSync(path);
  const saved = file.prepare('SELECT DISTINCT kind FROM records').all();
  file.close();
  t.same(
    saved.map(({ kind }) => kind),
    ['route'],
  );
});
