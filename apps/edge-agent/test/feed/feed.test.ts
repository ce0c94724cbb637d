import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { inspect } from 'node:util';
import {
  createBoundary,
  edgeKinds,
  type FollowEvent,
  kinds,
  type LogEntry,
  type StoredRecord,
} from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { Feed } from '../../src/feed/feed.ts';
import {
  type FeedToChild,
  type FeedToParent,
  feedWindowBytes,
  feedWindowMessages,
  snapshotBatchBytes,
} from '../../src/feed/feed-message.ts';
import { createParentFeed } from '../../src/feed/parent-feed.ts';
import { serveFeed } from '../../src/feed/serve-feed.ts';
import { sizeOf } from '../../src/feed/size-of.ts';
import { createStoreFeed } from '../../src/feed/store-feed.ts';
import { fetchThrough } from '../fetch-through.ts';
import { startUpstream } from '../start-upstream.ts';
import { startWorker } from '../start-worker.ts';
import { createChannel } from './create-channel.ts';

const log = pino({ level: 'silent' });
const odd: unknown[] = [null, undefined, 7, 'text', [], {}, { feed: 'none' }, { feed: null }];

const entryOf = (number: number, text = ''): LogEntry => ({
  position: { epoch: 'e', number, commitId: `c${number}` },
  by: { kind: 'system' },
  requestId: null,
  cause: null,
  previousCommitId: number === 1 ? null : `c${number - 1}`,
  changes: [{ op: 'put', kind: 'staple', id: `s${number}`, value: { fingerprint256: text } as never }],
});

async function* never(): AsyncGenerator<FollowEvent> {}

function connect(t: Test, source: Pick<Feed, 'follow'>) {
  const { parent, child } = createChannel();
  const toChild: FeedToChild[] = [];
  const toParent: FeedToParent[] = [];
  child.on('message', (message) => toChild.push(message));
  parent.on('message', (message) => toParent.push(message));
  const boundary = createBoundary(log);
  const stop = serveFeed(parent, source, log);
  const feed = createParentFeed(child, boundary);
  const ended = new AbortController();
  t.teardown(async () => {
    ended.abort();
    stop();
    await feed.close();
  });
  return { parent, child, feed, toChild, toParent, boundary, signal: ended.signal };
}

/** Everything at once, then nothing more. */
function source(...events: FollowEvent[]): Pick<Feed, 'follow'> {
  return {
    async *follow(_from, { signal }) {
      yield* events;
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  };
}

t.test('a window of commits is under way at a time, and answered in batches', async (t) => {
  const all = Array.from({ length: 1_000 }, (_, i) => entryOf(i + 1));
  const { feed, toChild, toParent, signal } = connect(
    t,
    source(...all.map((entry) => ({ type: 'commit', entry }) as const)),
  );
  const got: number[] = [];
  let underWay = 0;
  for await (const event of feed.follow(null, { signal })) {
    if (event.type !== 'commit') continue;
    got.push(event.entry.position.number);
    if (got.length === 1) for (let i = 0; i < 20; i += 1) await turn();
    underWay = Math.max(underWay, toChild.filter(({ feed }) => feed === 'commit').length - got.length + 1);
    if (got.length === all.length) break;
  }
  t.same(
    got,
    all.map(({ position }) => position.number),
    'each once, in order',
  );
  t.equal(underWay, feedWindowMessages, 'a slow child has a window of them, and no more');
  const answers = toParent.filter(({ feed }) => feed === 'next').length;
  t.ok(answers < 150, `${answers} answers`);
});

t.test(
  'of what is for control planes alone, no message to an edge tells more than the revision',
  async (t) => {
    const store = createSqliteStore({ path: ':memory:' });
    t.teardown(() => store.close());
    await store.open({ create: true, expectedEpoch: null });
    const secret = `secret-${randomUUID()}`;
    const commitAll = async () => {
      for (const kind of kinds.filter((kind) => !edgeKinds.includes(kind))) {
        const change = { op: 'put', kind, id: secret, value: { kept: secret } } as never;
        const by = { kind: 'token', name: secret } as const;
        await store.commit({ id: randomUUID(), by, requestId: secret, changes: [change] });
      }
      const change = { op: 'put', kind: 'staple', id: 'seen', value: { fingerprint256: 'AB' } } as never;
      return store.commit({ id: randomUUID(), changes: [change] });
    };
    const before = await commitAll();
    const { feed, toChild, signal } = connect(t, createStoreFeed(store));
    const seen: string[] = [];
    let last: number | null = null;
    for await (const event of feed.follow(null, { signal })) {
      if (event.type === 'snapshot')
        seen.push(...(await Array.fromAsync(event.records)).flat().map(({ id }) => id));
      if (event.type === 'current') last ??= (await commitAll()).number;
      if (event.type === 'commit' && event.entry.position.number === last) break;
    }
    t.same(seen, ['seen']);
    t.equal(toChild.filter(({ feed }) => feed === 'commit').length, last! - before.number, 'every revision');
    t.notOk(inspect(toChild, { depth: 9, maxArrayLength: null }).includes(secret));
  },
);

t.test('large commits are held to a window of bytes', async (t) => {
  const all = Array.from({ length: 20 }, (_, i) => entryOf(i + 1, 'x'.repeat(feedWindowBytes / 4)));
  const { feed, toChild, signal } = connect(
    t,
    source(...all.map((entry) => ({ type: 'commit', entry }) as const)),
  );
  let got = 0;
  for await (const event of feed.follow(null, { signal })) {
    got += event.type === 'commit' ? 1 : 0;
    for (let i = 0; i < 5; i += 1) await turn();
    const under = toChild.filter(({ feed }) => feed === 'commit').length - got + 1;
    if (under > 4) t.fail(`${under} under way`);
    if (got === all.length) break;
  }
  t.equal(got, all.length);
});

t.test('a snapshot comes in pages of bytes, whole and in order', async (t) => {
  const records = Array.from({ length: 500 }, (_, i) => ({
    kind: 'certificate',
    id: `c${i}`,
    revision: 1,
    value: { chain: 'x'.repeat(i === 7 ? 1_000_000 : 4_000) },
  })) as unknown as StoredRecord[];
  const position = { epoch: 'e', number: 1, commitId: 'c1' };
  const { feed, toChild, signal } = connect(
    t,
    source({
      type: 'snapshot',
      position,
      records: (async function* () {
        yield records;
      })(),
    }),
  );
  const got: string[] = [];
  for await (const event of feed.follow(null, { signal })) {
    if (event.type !== 'snapshot') continue;
    for await (const batch of event.records) got.push(...batch.map(({ id }) => id));
    break;
  }
  t.same(
    got,
    records.map(({ id }) => id),
  );
  for (const message of toChild) {
    if (message.feed !== 'records' || message.records.length === 1) continue;
    t.ok(sizeOf(message.records) <= snapshotBatchBytes + 1_000);
  }
});

t.test('a message that cannot be read ends neither end of a feed', async (t) => {
  const { parent, child, feed, boundary, signal } = connect(t, source({ type: 'commit', entry: entryOf(1) }));
  for (const message of odd) {
    parent.emit('message', message);
    child.emit('message', message);
  }
  for (const message of [
    { feed: 'hint' },
    { feed: 'report' },
    { feed: 'leave' },
    { feed: 'follow' },
    { feed: 'next', count: 'many' },
    { feed: 'watchHints', watch: 7 },
  ]) {
    parent.emit('message', message);
  }
  feed.watchHints(() => {
    throw new Error('a listener that fails');
  });
  for (const message of [{ feed: 'hint' }, { feed: 'reported', id: 1, error: 7 }, { feed: 'reported' }]) {
    child.emit('message', message);
  }
  t.equal(boundary.exceptions.hint, 1, 'counted');
  for await (const event of feed.follow(null, { signal })) {
    t.match(event, { type: 'commit', entry: { position: { number: 1 } } });
    break;
  }
});

t.test('trouble of the parent reaches the child', async (t) => {
  const { feed, signal } = connect(t, {
    async *follow(_from, { onTrouble }) {
      onTrouble?.(new Error('no store'));
      await turn();
      onTrouble?.(null);
      yield { type: 'current', position: entryOf(1).position };
    },
  });
  const told: (string | null)[] = [];
  const onTrouble = (error: Error | null) => told.push(error?.message ?? null);
  for await (const _ of feed.follow(null, { signal, onTrouble })) break;
  t.same(told, ['no store', null]);
});

t.test('who stops as its parent is gone does not wait for its answer', async (t) => {
  const { child, feed } = connect(t, { follow: () => never() });
  child.send = () => true;
  const asked = feed.leave('edge-1', 'one', { returns: true });
  child.emit('disconnect');
  await t.rejects(asked, { code: 'store_unavailable' });
  await t.rejects(feed.leave('edge-1', 'one', { returns: true }), { code: 'store_unavailable' });
});

t.test('a worker asks for a snapshot where what comes does not follow, or cannot be read', async (t) => {
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  const broken: ((entry: LogEntry) => unknown)[] = [
    (entry) => ({ type: 'commit', entry: { ...entry, position: { ...entry.position, number: 99 } } }),
    (entry) => ({ type: 'commit', entry: { ...entry, previousCommitId: randomUUID() } }),
    (entry) => ({ type: 'commit', entry: { ...entry, changes: undefined } }),
    (entry) => ({ type: 'commit', entry: { ...entry, position: undefined } }),
    () => ({ type: 'commit', entry: null }),
    () => ({ type: 'commit' }),
    () => ({ type: 'snapshot', position: null, records: [] }),
    ({ position }) => ({ type: 'snapshot', position, records: [null] }),
    ({ position }) => ({ type: 'snapshot', position }),
    () => null,
  ];
  let follows = 0;
  const edge = await startWorker(t, {}, (configured) =>
    configured.serve('good', ['good.example.com'], [url]),
  );
  const through: Feed = {
    ...createStoreFeed(edge.store),
    async *follow(from, options) {
      follows += 1;
      t.equal(from, null, 'a snapshot');
      for await (const event of createStoreFeed(edge.store).follow(from, options)) {
        const spoil = event.type === 'commit' ? broken.shift() : undefined;
        yield spoil === undefined ? event : (spoil((event as { entry: LogEntry }).entry) as FollowEvent);
      }
    },
  };
  const spoilt = await startWorker(t, {}, undefined, edge, through);
  await waitFor(() => spoilt.status().position !== null, { what: 'the first configuration' });
  for (let n = 1; broken.length > 0; n += 1) {
    const position = await edge.commit(edge.routeChange(`r${n}`, [`r${n}.example.com`], [url]));
    await spoilt.applied(position);
    t.same(spoilt.status(), { position, refusals: [] });
    t.equal(follows, n + 1);
    const { status } = await fetchThrough({
      port: spoilt.httpsPort,
      host: 'good.example.com',
      root: edge.root,
    });
    t.equal(status, 200);
  }
});

t.test('a worker without a whole configuration has no position', async (t) => {
  const edge = await startWorker(t);
  const first = await edge.commit(edge.routeChange('a', ['a.example.com'], ['http://127.0.0.1:1']));
  await edge.applied(first);
  let follows = 0;
  const late: Feed = {
    ...createStoreFeed(edge.store),
    async *follow(from, options) {
      follows += 1;
      // The next commit, without what it builds on.
      if (follows === 1)
        yield { type: 'commit', entry: { ...entryOf(first.number + 1), previousCommitId: first.commitId } };
      if (follows < 3) return;
      yield* createStoreFeed(edge.store).follow(from, options);
    },
  };
  const statuses: (number | undefined)[] = [];
  const worker = await startWorker(t, {}, undefined, edge, late);
  statuses.push(worker.status().position?.number);
  await worker.applied(first);
  t.same(statuses, [undefined]);
  t.same(worker.status().position, first);
});

t.test('the same number of another history is another record', async (t) => {
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  const edge = await startWorker(t, {}, (configured) =>
    configured.serve('good', ['good.example.com', 'moved.example.com'], [url]),
  );
  await waitFor(() => edge.status().position !== null, { what: 'the first configuration' });
  const { position } = edge.status();
  const there = position!;
  const history = Promise.withResolvers<void>();
  const records = async function* (hosts: string[]): AsyncGenerator<StoredRecord[]> {
    const value = { ...(await edge.store.get('route', 'good'))!.value, hosts };
    const certificates = await edge.store.list('certificate', { limit: 10 });
    yield [{ kind: 'route', id: 'good', revision: there.number, value }, ...certificates.items];
  };
  const goesBack: Feed = {
    ...createStoreFeed(edge.store),
    async *follow(_from, { signal }) {
      yield {
        type: 'snapshot',
        position: there,
        records: records(['good.example.com', 'moved.example.com']),
      };
      await history.promise;
      yield {
        type: 'snapshot',
        position: { ...there, commitId: 'other' },
        records: records(['good.example.com']),
      };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  };
  const worker = await startWorker(t, {}, undefined, edge, goesBack);
  await waitFor(() => worker.status().position !== null, { what: 'a configuration' });
  const status = async (host: string) =>
    (await fetchThrough({ port: worker.httpsPort, host, root: edge.root })).status;
  t.equal(await status('moved.example.com'), 200);
  history.resolve();
  await waitFor(() => worker.status().position?.commitId === 'other', { what: 'the other history' });
  t.equal(await status('moved.example.com'), 404);
  t.equal(await status('good.example.com'), 200);
});
