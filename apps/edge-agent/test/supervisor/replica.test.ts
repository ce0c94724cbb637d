import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import {
  AppError,
  createBoundary,
  type FollowEvent,
  type LogEntry,
  type Position,
  type StoredRecord,
} from '@lockstep/contract';
import { createEdgeSealer, deriveEdgeKey, generateSecretKey } from '@lockstep/pki';
import { type ConfigCache, createConfigCache } from '@lockstep/store';
import { testFolder, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { Feed } from '../../src/feed/feed.ts';
import { createReplica, type ReplicaOptions } from '../../src/supervisor/replica.ts';

const log = pino({ level: 'silent' });
const at = (number: number): Position => ({ epoch: 'e', number, commitId: `c${number}` });
const route = (id: string, revision = 1) =>
  ({
    kind: 'route',
    id,
    revision,
    value: { hosts: [`${id}.example.com`], paths: ['/'], upstreams: [{ url: 'http://127.0.0.1:1' }] },
  }) as StoredRecord;
const snapshot = (position: Position, ...records: unknown[]): FollowEvent => ({
  type: 'snapshot',
  position,
  records: (async function* () {
    yield records as StoredRecord[];
  })(),
});
const commit = (number: number, ...changes: unknown[]): FollowEvent => ({
  type: 'commit',
  entry: { position: at(number), previousCommitId: `c${number - 1}`, changes } as LogEntry,
});
const put = (id: string) => ({ ...route(id), op: 'put' });

function start(t: Test, follow: Feed['follow'], options: Partial<ReplicaOptions> = {}) {
  const cache = createConfigCache({
    path: join(testFolder(t), 'cache.db'),
    sealer: createEdgeSealer(deriveEdgeKey(generateSecretKey())),
    log,
  });
  const boundary = createBoundary(log);
  const replica = createReplica({
    node: 'edge-1',
    cache: options.cache ?? cache,
    feed: { follow },
    log,
    boundary,
    onChange() {},
    onFatal: t.fail,
    ...options,
  });
  const ended = new AbortController();
  t.teardown(async () => {
    ended.abort();
    await replica.close();
    cache.close();
  });
  /** What the workers are given. */
  const given: string[] = [];
  void (async () => {
    for await (const event of replica.feed.follow(null, { signal: ended.signal })) {
      if (event.type === 'snapshot') for await (const _ of event.records);
      if (event.type !== 'current') {
        given.push(
          `${event.type} ${event.type === 'commit' ? event.entry.position.number : event.position.number}`,
        );
      }
    }
  })();
  replica.start();
  return { replica, cache, boundary, given };
}

/** What `events` yields in its nth following, and then nothing more. */
const followings = (
  events: (nth: number, from: Position | null) => Iterable<FollowEvent>,
  froms: (Position | null)[] = [],
): Feed['follow'] =>
  async function* (from, { signal }) {
    froms.push(from);
    yield* events(froms.length, from);
    if (!signal.aborted)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  };

t.test('what cannot be read, or does not follow, is followed by a snapshot', async (t) => {
  const froms: (Position | null)[] = [];
  const odd: unknown[] = [
    { type: 'commit', entry: null },
    { type: 'commit', entry: { position: at(2), previousCommitId: 'c1', changes: null } },
  ];
  const { replica, boundary } = start(
    t,
    followings(
      (nth) => [snapshot(at(1), route('a')), (odd[nth - 1] ?? commit(2, put('b'))) as FollowEvent],
      froms,
    ),
  );
  await waitFor(() => replica.position()?.number === 2, {
    what: 'the commit that can be read',
    timeoutMs: 60_000,
  });
  t.same(froms, [null, null, null]);
  t.equal(boundary.exceptions.following, 2);
  await waitFor(() => replica.state.state === 'following', { what: 'it to follow' });
  t.equal(replica.behindSince, null);
});

t.test('records that cannot be read, of any kind, are handed on and saved beside the others', async (t) => {
  const odd = [
    null,
    7,
    {},
    { kind: 'edge-settings', id: 'settings', revision: 1, value: 7 },
    { kind: 'confirmation', id: 'edge-1', revision: 1 },
  ];
  const { replica, cache, given } = start(
    t,
    followings(() => [
      snapshot(at(1), ...odd, route('a')),
      commit(
        2,
        ...odd,
        { op: 'put', kind: 'edge-settings', id: 'settings', value: { onDemand: 7 } },
        { op: 'put', kind: 'route', id: 'odd' },
        put('b'),
      ),
      commit(3, { op: 'delete', kind: 'edge-settings', id: 'settings' }),
    ]),
  );
  await waitFor(() => cache.position()?.number === 3, { what: 'all of it to be saved' });
  t.same(given.at(-1), 'commit 3');
  t.equal(replica.settings, null);
  t.equal(cache.hosts(), 2);
});

t.test('a window of commits is saved in one go', async (t) => {
  const saved: number[] = [];
  let real: ConfigCache;
  const spied = new Proxy({} as ConfigCache, {
    get(_, name: keyof ConfigCache) {
      if (name !== 'apply') return real[name];
      return (entries: readonly LogEntry[]) => {
        saved.push(entries.length);
        real.apply(entries);
      };
    },
  });
  real = createConfigCache({
    path: join(testFolder(t), 'c.db'),
    sealer: createEdgeSealer(deriveEdgeKey(generateSecretKey())),
    log,
  });
  t.teardown(() => real.close());
  const commits = Array.from({ length: 500 }, (_, i) => commit(i + 2, put(`r${i}`)));
  start(
    t,
    followings(() => [snapshot(at(1), route('a')), ...commits]),
    { cache: spied },
  );
  await waitFor(() => real.position()?.number === 501, { what: 'all to be saved' });
  t.ok(saved.length < 50, `${saved.length} transactions for 500 commits`);
  t.equal(real.hosts(), 501);
});

t.test('a disk that fails, however it does, keeps no change from the workers', async (t) => {
  let fails = false;
  let real: ConfigCache;
  const failing = new Proxy({} as ConfigCache, {
    get(_, name: keyof ConfigCache) {
      const value = real[name];
      if (!fails || typeof value !== 'function') return value;
      if (name === 'position' || name === 'isComplete') return value; // kept in memory
      return () => {
        throw new AppError('internal', 'disk I/O error');
      };
    },
  });
  real = createConfigCache({
    path: join(testFolder(t), 'c.db'),
    sealer: createEdgeSealer(deriveEdgeKey(generateSecretKey())),
    log,
  });
  t.teardown(() => real.close());
  const more = Promise.withResolvers<void>();
  const { replica, given } = start(
    t,
    async function* (_from, { signal }) {
      yield snapshot(at(1), route('a'));
      await more.promise;
      for (let number = 2; number < 300; number += 1) yield commit(number, put(`r${number}`));
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
    { cache: failing, saveAgainMs: 10 },
  );
  await waitFor(() => given.includes('snapshot 1'), { what: 'the snapshot' });
  fails = true;
  more.resolve();
  await waitFor(() => given.at(-1) === 'commit 299', { what: 'the last commit' });
  await waitFor(() => replica.unsaved === 298, { what: 'the disk to refuse all' });
  fails = false;
  await waitFor(() => real.position()?.number === 299, { what: 'the disk to have all' });
});

t.test('commits do not hurry the next look at a snapshot that is held back', async (t) => {
  const froms: (Position | null)[] = [];
  const began = performance.now();
  const { replica } = start(
    t,
    async function* (from, { signal }) {
      froms.push(from);
      if (froms.length === 1) {
        yield snapshot(at(1), route('a'), route('b'), route('c'));
        yield snapshot({ ...at(9), epoch: 'other' }, route('z'));
      } else {
        yield snapshot({ ...at(9), epoch: 'other' }, route('z'));
      }
      for (let number = 10; !signal.aborted; number += 1) {
        yield {
          type: 'commit',
          entry: {
            ...(commit(number) as { entry: LogEntry }).entry,
            position: { ...at(number), epoch: 'other' },
          },
        };
        await turn();
      }
    },
    { lookAgainMs: 50 },
  );
  await waitFor(() => froms.length === 5, { what: 'four looks', timeoutMs: 60_000 });
  const least = 50 + 100 + 200 + 400;
  t.ok(performance.now() - began >= least, `not sooner than after ${least} ms`);
  t.not(replica.held, null);
  t.not(replica.behindSince, null);
});

t.test('how far a first sync is can be seen', async (t) => {
  const half = Promise.withResolvers<void>();
  const { replica } = start(
    t,
    followings(() => [
      {
        type: 'snapshot',
        position: at(1),
        records: (async function* () {
          yield [route('a'), route('b')];
          await half.promise;
          yield [route('c')];
        })(),
      },
    ]),
  );
  await waitFor(() => replica.state.records === 2, { what: 'half of it' });
  t.match(replica.state, { state: 'syncing', detail: null });
  half.resolve();
  await waitFor(() => replica.state.state === 'following', { what: 'all of it' });
  t.match(replica.state, { records: null });
});
