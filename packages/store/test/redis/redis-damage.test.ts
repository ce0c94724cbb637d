import { randomUUID } from 'node:crypto';
import { edgeKinds, isAppError, kinds } from '@lockstep/contract';
import { createRedisStore } from '@lockstep/store';
import { startRedis, waitFor } from '@lockstep/testkit';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { commitOf, putOrder, putRoute, remove, report } from '../conformance/records.ts';
import { contentOf, followView } from '../conformance/view.ts';

const audiences = ['control', 'edge'] as const;
type Entries = [id: string, fields: string[]][];

const texts = [
  '',
  '\n',
  '\0',
  'a\nb\nc\nd\nnot json',
  '1\n[]\n{',
  'null',
  '[]',
  '{}',
  '1\n[]\nnull',
  '\ud800',
  'x'.repeat(100_000),
];
/** Anything, and things that look like what belongs there. */
const junk = fc.oneof(
  fc.constantFrom(...texts),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc.json({ maxDepth: 2 }),
  fc.tuple(fc.string(), fc.integer(), fc.string(), fc.json()).map((parts) => parts.join('\n')),
);

t.test('what stands in Redis and cannot be read', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());

  await t.test('no message on any channel stops a process, or the commits that come with it', async (t) => {
    const { store, prefix, follower } = await openStore(t, server.url);
    const watchers = [store.watchNodes(() => {}), store.watchHints(() => {}), follower.watchHints(() => {})];
    t.teardown(() => watchers.map((stop) => stop()));
    const view = followView(t, follower.follow, await store.head());
    const edgeView = followView(t, follower.follow, await store.head(), { followed: edgeKinds });
    for (const { until, seen } of [view, edgeView]) await until(() => seen.includes('current'));
    const channels = await waitFor(
      async () => {
        const found = (await admin.pubsub('CHANNELS', `{${prefix}}:*`)) as string[];
        return found.length === 5 && found;
      },
      { what: 'all channels to be heard' },
    );
    let commits = 0;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...channels), junk, async (channel, message) => {
        await admin.publish(channel, message);
        if (commits++ % 10 === 0) await store.commit(commitOf(putRoute(`r${commits % 7}`)));
      }),
      { numRuns: 300 },
    );
    const last = await store.commit(commitOf(putRoute('last')));
    for (const one of [view, edgeView]) {
      await one.reached(last);
      t.same(one.records, await contentOf(store));
      t.notOk(one.seen.includes('snapshot'), 'a gap is filled from the log');
      t.same(one.troubles, []);
    }
  });

  await t.test('an entry of the log that cannot be read is passed by a snapshot, once', async (t) => {
    const { store, prefix, follower, warnings } = await openStore(t, server.url);
    const start = await store.head();
    for (let i = 0; i < 6; i++) await store.commit(commitOf(putRoute(`r${i}`)));
    const logs = {
      control: { followed: kinds, entries: [] as Entries },
      edge: { followed: edgeKinds, entries: [] as Entries },
    };
    for (const audience of audiences)
      logs[audience].entries = await admin.xrange(`{${prefix}}:${audience}:log`, '-', '+');
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...audiences),
        fc.integer({ min: 0, max: 5 }),
        fc.constantFrom('id', 'previous', 'origin', 'changes', 'nothing'),
        junk,
        async (audience, broken, field, value) => {
          const { followed, entries } = logs[audience];
          const log = `{${prefix}}:${audience}:log`;
          await admin.del(log);
          for (const [index, [id, fields]] of entries.entries()) {
            const named = new Map<string, string | Buffer>();
            for (let at = 0; at < fields.length; at += 2) named.set(fields[at]!, fields[at + 1]!);
            if (index === broken && field === 'nothing') named.clear();
            if (index === broken) named.set(field, value);
            await admin.xadd(log, id, ...[...named].flat());
          }
          const view = followView(t, follower.follow, start, { followed });
          await view.reached(await store.head());
          await view.until(() => view.seen.at(-1) === 'current');
          t.ok(view.seen.filter((type) => type === 'snapshot').length <= 1);
          t.same(view.records, await contentOf(store, followed));
          await view.close();
        },
      ),
      { numRuns: 60 },
    );
    t.match(warnings.join('\n'), /entry of the change log cannot be read/);
    await store.commit(commitOf(putRoute('after')));
  });

  await t.test('the log keeps so many bytes, and its latest entry however large', async (t) => {
    const { prefix } = await openStore(t, server.url);
    const store = createRedisStore({ url: server.url, prefix, logBytes: 10_000 });
    t.teardown(() => store.close());
    await store.open({ create: false, expectedEpoch: null });
    const start = await store.head();
    const view = followView(t, store.follow, start);
    let last = start;
    for (let i = 0; i < 50; i++)
      last = await store.commit(commitOf(putRoute(`r${i}`, [`${i}${'h'.repeat(700)}`])));
    await view.reached(last);
    const lengths = () => Promise.all(audiences.map((audience) => admin.xlen(`{${prefix}}:${audience}:log`)));
    const [kept = 0, keptForEdges] = await lengths();
    t.ok(kept > 3 && kept < 8, `${kept} entries in each of two logs`);
    t.equal(keptForEdges, kept);
    t.equal(await store.readLog(start, 10), null);
    t.same(
      await store.standingOf([{ ...last, number: last.number - 40 }]),
      ['apart'],
      'the history is remembered',
    );
    await store.commit(commitOf(putRoute('large', ['h'.repeat(50_000)])));
    t.same(await lengths(), [1, 1]);
    await view.reached(await store.commit(commitOf(putRoute('small'))));
    t.same(await lengths(), [1, 1], 'the large one went');
    t.same(view.records, await contentOf(store));
  });

  await t.test('an entry ahead of the history does not hold commits up', async (t) => {
    const { store, prefix, follower } = await openStore(t, server.url);
    const view = followView(t, follower.follow, null);
    await view.reached(await store.commit(commitOf(putRoute('a'))));
    const edgeView = followView(t, follower.follow, null, { followed: edgeKinds });
    for (const [index, audience] of audiences.entries()) {
      const ahead = ['id', 'x', 'previous', '', 'origin', '{}', 'changes', '[]'];
      await admin.xadd(`{${prefix}}:${audience}:log`, `${index + 1}00-0`, ...ahead);
      for (const id of ['b', 'c']) {
        const made = await store.commit(commitOf(putRoute(`${audience}-${id}`), putOrder(id, null)));
        await view.reached(made);
        await edgeView.reached(made);
      }
      t.same(view.records, await contentOf(store));
      t.same(edgeView.records, await contentOf(store, edgeKinds));
    }
  });

  await t.test('a record that cannot be read is named and left out; the others are not', async (t) => {
    const { store, prefix, follower, warnings } = await openStore(t, server.url);
    for (const id of ['a', 'b', 'c']) await store.commit(commitOf(putRoute(id)));
    const sound = await admin.hget(`{${prefix}}:edge:records`, 'route/b');
    await fc.assert(
      fc.asyncProperty(junk, async (value) => {
        fc.pre(!isSound(value.toString()));
        await admin.hset(`{${prefix}}:edge:records`, 'route/b', value);
        await t.rejects(store.get('route', 'b'), { code: 'internal', message: /route\/b/ });
        t.same(
          (await store.list('route', { limit: 10 })).items.map(({ id }) => id),
          ['a', 'c'],
        );
        t.match(await store.getMany('route', ['a', 'b', 'c']), [{ id: 'a' }, null, { id: 'c' }]);
      }),
      { numRuns: 40 },
    );
    t.match(warnings.join('\n'), /route\/b.*cannot be read/);
    const view = followView(t, follower.follow, null);
    await view.until(() => view.seen.includes('current'));
    t.same(view.ids(), ['route/a', 'route/b', 'route/c']);
    t.match(view.records['route/b'], { value: null }, 'for whoever follows to refuse');
    await view.reached(await store.commit(commitOf(putRoute('d'))));

    await store.commit(commitOf(remove('route', 'b')));
    await view.reached(await store.commit(commitOf(putRoute('e', ['b.example.com']))));
    t.same(view.ids(), ['route/a', 'route/c', 'route/d', 'route/e'], 'it can be deleted, and its host taken');
    await admin.hset(`{${prefix}}:edge:records`, 'route/a', sound!.replace('[', 'x'));
    await view.reached(await store.commit(commitOf(putRoute('a'))));
    t.match(await store.get('route', 'a'), { id: 'a' }, 'and it can be replaced');
  });

  await t.test('a presence that cannot be read is no node, and hides no other', async (t) => {
    const { store, prefix } = await openStore(t, server.url);
    await store.reportNode(report('a'));
    await store.reportNode(report('b'));
    await fc.assert(
      fc.asyncProperty(junk, async (value) => {
        await admin.set(`{${prefix}}:node:b`, value, 'PX', 400 * 86_400_000);
        t.match(await store.listNodes(), [{ report: { node: 'a' } }]);
      }),
      { numRuns: 40 },
    );
    await store.reportNode(report('b'));
    t.equal((await store.listNodes()).length, 2);
  });

  await t.test(
    'a key of another type fails what needs it, with an error of the store, and nothing else',
    async (t) => {
      const { store, prefix, follower } = await openStore(t, server.url);
      const view = followView(t, follower.follow, null);
      await store.reportNode(report('a'));
      const lease = (await store.acquireLease('l', 60_000))!;
      await view.reached(await store.commit(commitOf(putRoute('a'))));
      const keys = await admin.keys(`{${prefix}}:*`);
      const position = await store.head();
      for (const key of keys) {
        const kept = await admin.dumpBuffer(key);
        for (const wrong of ['string', 'list']) {
          await admin.del(key);
          if (wrong === 'string') await admin.set(key, 'junk');
          else await admin.rpush(key, 'junk');
          const calls = [
            store.head(),
            store.get('route', 'a'),
            store.list('route', { limit: 10 }),
            store.listDue('order', Date.now(), 10),
            store.findClaims('a', 10),
            store.readLog(position, 10),
            store.standingOf([position]),
            store.listTurns(),
            store.readJournal({ limit: 10 }),
            store.listNodes(),
            store.renewLease(lease, 60_000),
            store.acquireLease('m', 10),
          ];
          for (const outcome of await Promise.allSettled(calls)) {
            if (outcome.status === 'rejected') t.ok(isAppError(outcome.reason), `${key}: ${outcome.reason}`);
          }
          await admin.publish(`{${prefix}}:nodes`, 'a');
          for (const audience of audiences) await admin.publish(`{${prefix}}:${audience}:commits`, 'look');
        }
        await admin.del(key);
        await admin.restore(key, 0, kept);
      }
      await view.reached(await store.commit(commitOf(putRoute('b'))));
      t.same(view.records, await contentOf(store));
      t.same((await store.count('route')) + kinds.length, 2 + kinds.length);
    },
  );

  await t.test('a key of another type is named and made anew, with all that the records tell', async (t) => {
    const { store, prefix, follower, warnings } = await openStore(t, server.url);
    const view = followView(t, follower.follow, null);
    const due = Date.now() + 5_000;
    await store.reportNode(report('a'));
    await store.reportNode(report('b'));
    await store.commit(
      commitOf(putRoute('kept', ['kept.example.com', 'also.example.com']), putOrder('o', due, 3)),
    );
    const told = async () => [
      await contentOf(store),
      await store.findClaims('', 10),
      await store.listDue('order', due, 10, 3),
      await store.nextDue('order', 3),
      (await store.listNodes()).map(({ report }) => report.node),
    ];
    const shared =
      'claim-index claims due:order due:route events fence history journal control:ids edge:ids control:log edge:log node-ids turns'.split(
        ' ',
      );
    for (const name of shared) {
      const key = `{${prefix}}:${name}`;
      for (const wrong of ['string', 'hash', 'list', 'zset']) {
        const before = await told();
        const type = await admin.type(key);
        if (wrong === type) continue;
        await admin.del(key);
        if (wrong === 'string') await admin.set(key, 'junk');
        else if (wrong === 'hash') await admin.hset(key, 'junk', 'junk');
        else if (wrong === 'list') await admin.rpush(key, 'junk');
        else await admin.zadd(key, 1, 'junk');
        const isWrong = (await admin.type(key)) !== typeOf(name);
        if (!isWrong) continue;
        const commit = commitOf(putRoute('changing'), putOrder('changing', due));
        if (!['node-ids', 'fence', 'turns', 'journal', 'events'].includes(name)) await store.commit(commit);
        else await store.check();
        await store.commit(commitOf(remove('route', 'changing'), remove('order', 'changing')));
        t.match(
          warnings.join('\n'),
          new RegExp(`${name}.*(is a ${wrong}|cannot be read)`),
          `${name}, a ${wrong}`,
        );
        t.same(await store.check(), [], `${name}, a ${wrong}: is well`);
        t.same(await told(), before, `${name}, a ${wrong}`);
        await t.rejects(store.commit(commitOf(putRoute('thief', ['also.example.com']))), {
          code: 'host_taken',
        });
      }
      t.ok(await store.acquireLease(`with ${name}`, 10_000));
    }
    await view.reached(await store.commit(commitOf(putRoute('last'))));
    t.same(view.records, await contentOf(store));

    await admin.del(`{${prefix}}:node:b`);
    await admin.hset(`{${prefix}}:node:b`, 'junk', 'junk');
    t.match(await store.listNodes(), [{ report: { node: 'a' } }], 'hides no other node');
    await follower.reportNode(report('b'));
    t.equal((await store.listNodes()).length, 2, 'and its next report replaces it');
    await admin.hset(`{${prefix}}:lease:l`, 'junk', 'junk');
    t.ok(await store.acquireLease('l', 10_000), 'what is no grant is replaced');

    for (const name of ['edge:records', 'control:records', 'meta']) {
      const key = `{${prefix}}:${name}`;
      await admin.rename(key, `${key}-kept`);
      await admin.set(key, 'junk');
      const lost = { code: 'store_lost', message: new RegExp(name) };
      await t.rejects(store.commit(commitOf(putRoute('x'))), lost);
      await t.rejects(
        (['route', 'order'] as const).reduce<Promise<unknown>>(
          (before, kind) => before.then(() => store.get(kind, 'a')),
          store.head(),
        ),
        lost,
      );
      t.match(await store.check(), [{ key, detail: 'is a string, not a hash', mended: false }]);
      await admin.rename(`${key}-kept`, key);
      await store.commit(commitOf(putRoute('x')));
    }
  });

  await t.test(
    'what is noted of the head and the log and cannot be is mended from the history',
    async (t) => {
      const { store, prefix, follower } = await openStore(t, server.url);
      const view = followView(t, follower.follow, null);
      const meta = `{${prefix}}:meta`;
      const numbers = [
        '',
        'abc',
        '-1',
        '1e3',
        '1000000000000000',
        '999999999999999',
        '9007199254740993',
        '1',
      ];
      const damages: [string, string][] = [
        ...numbers.map((number): [string, string] => ['number', number]),
        ['commitId', 'zzz'],
        ...['logFrom', 'logBytes'].flatMap((field) =>
          ['zzz', '', '-5', '0', '1e300', 'nan', 'inf', '24.5'].map((value): [string, string] => [
            field,
            value,
          ]),
        ),
      ];
      let last = await store.commit(commitOf(putRoute('a')));
      for (let i = 0; i < 20; i++) last = await store.commit(commitOf(putRoute(`r${i % 3}`)));
      for (const [field, value] of damages) {
        await admin.hset(meta, field, value);
        const made = await store.commit(commitOf(putRoute('a')));
        t.match(made, { number: last.number + 1, epoch: last.epoch }, `${field} ${value}`);
        last = made;
        await view.reached(last);
      }
      t.same(await store.listTurns(), []);
      t.same(view.records, await contentOf(store));
      // Nothing tells any more which the latest commit was: who restores says so.
      await admin.hset(meta, 'number', 'x', 'commitId', 'y');
      await t.rejects(store.commit(commitOf(putRoute('b'))), { code: 'store_lost', message: /meta.*"x"/ });
      const restored = createRedisStore({ url: server.url, prefix });
      t.teardown(() => restored.close());
      await restored.open({ create: false, expectedEpoch: last.epoch, known: last, restored: true });
      const made = await restored.commit(commitOf(putRoute('b')));
      t.ok(made.number > last.number);
      await view.reached(made);
    },
  );

  await t.test('a listener that throws stops neither the process nor the other listeners', async (t) => {
    const { store, follower, warnings } = await openStore(t, server.url);
    const heard: string[] = [];
    const unwatch = [
      store.watchHints(() => {
        throw new Error('the listener’s own');
      }),
      store.watchHints(({ hint }) => heard.push(hint)),
      store.watchNodes(() => {
        throw new Error('the listener’s own');
      }),
    ];
    t.teardown(() => unwatch.map((stop) => stop()));
    await waitFor(
      async () => {
        await follower.sendHint({ hint: 'ask', host: 'a', node: 'n' });
        await follower.reportNode(report('n'));
        return heard.length > 1 && warnings.some((line) => line.includes('nodes'));
      },
      { what: 'the other listener to hear' },
    );
    t.match(warnings.join('\n'), /could not be dealt with/);
  });
});

async function openStore(t: Test, url: string) {
  const prefix = `test-${randomUUID()}`;
  const warnings: string[] = [];
  const log = {
    info: () => {},
    warn: (facts: object, message: string) => warnings.push(`${JSON.stringify(facts)} ${message}`),
  };
  const [store, follower] = [createRedisStore({ url, prefix, log }), createRedisStore({ url, prefix, log })];
  t.teardown(() => Promise.all([store.close(), follower.close()]));
  await store.open({ create: true, expectedEpoch: null });
  return { store, prefix, follower, warnings };
}

function typeOf(name: string): string {
  const types: Record<string, string> = {
    claims: 'hash',
    fence: 'string',
    history: 'hash',
    events: 'stream',
    journal: 'stream',
    'control:log': 'stream',
    'edge:log': 'stream',
    turns: 'list',
  };
  return types[name] ?? 'zset';
}

/** What looks like a record may be one. */
function isSound(text: string): boolean {
  const [, json = ''] = /^\d+\n[^\n]*\n(.*)$/s.exec(text) ?? [];
  try {
    const value = JSON.parse(json);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
