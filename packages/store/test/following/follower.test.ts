import { join } from 'node:path';
import type { LogEntry } from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { testFolder } from '@lockstep/testkit';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { type FollowSource, type FollowTuning, follow } from '../../src/following/follower.ts';
import { commitOf, noOrigin, putRoute } from '../conformance/records.ts';
import { contentOf, followView } from '../conformance/view.ts';

/** A store whose announcements pass through the test's hands. */
async function unreliable(t: Test, tuning: FollowTuning = {}) {
  const store = createSqliteStore({ path: join(testFolder(t), 'store.db'), logEntries: 50 });
  await store.open({ create: true, expectedEpoch: null });
  const announced: LogEntry[] = [];
  const stop = new AbortController();
  const listening = (async () => {
    const kinds = ['route'] as const;
    for await (const event of store.follow(await store.head(), { kinds, signal: stop.signal })) {
      if (event.type === 'commit') announced.push(event.entry);
    }
  })();
  t.teardown(async () => {
    stop.abort();
    await listening;
    await store.close();
  });
  const listeners = new Set<(entry: LogEntry | null) => void>();
  const failures = { reads: 0 };
  const failing = <T>(read: () => Promise<T>): Promise<T> => {
    if (failures.reads === 0) return read();
    failures.reads -= 1;
    return Promise.reject(new Error('the network'));
  };
  const source: FollowSource = {
    head: () => failing(() => store.head()),
    readLog: (after, limit) => failing(() => store.readLog(after, limit)),
    list: (kind, page) => failing(() => store.list(kind, page)),
    onAnnouncement(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return {
    store,
    failures,
    announced,
    announce: (entry: LogEntry | null) => {
      for (const listener of listeners) listener(entry);
    },
    listeners,
    follow: ((from, options) =>
      follow(source, from, options, { retryMs: 1, ...tuning })) as typeof store.follow,
  };
}

t.test('a lost announcement is found by the periodic look at the head', async (t) => {
  const { store, follow } = await unreliable(t, { checkIntervalMs: 5 });
  const view = followView(t, follow, await store.head());
  await view.until(() => view.seen.includes('current'));
  await view.reached(await store.commit(commitOf(putRoute('a'))));
  t.same(view.ids(), ['route/a']);
});

t.test('a gap in the numbers sends the follower to the log at once', async (t) => {
  const { store, follow, announced, announce } = await unreliable(t, { checkIntervalMs: 3_600_000 });
  const view = followView(t, follow, await store.head());
  await view.until(() => view.seen.includes('current'));
  for (const id of ['a', 'b', 'c']) await store.commit(commitOf(putRoute(id)));
  await new Promise<void>((resolve) => setImmediate(resolve));
  announce(announced.at(-1)!);
  await view.reached(await store.head());
  t.same(view.ids(), ['route/a', 'route/b', 'route/c']);
});

t.test('an announcement of another history sends the follower to the log', async (t) => {
  const { store, follow, announce } = await unreliable(t, { checkIntervalMs: 3_600_000 });
  const view = followView(t, follow, await store.head());
  await view.until(() => view.seen.includes('current'));
  const head = await store.commit(commitOf(putRoute('a')));
  const changes = [{ op: 'put', kind: 'route', id: 'forged', value: {} }] as unknown as LogEntry['changes'];
  announce({ ...noOrigin, position: { ...head, commitId: 'x' }, previousCommitId: 'y', changes });
  await view.reached(head);
  announce({ ...noOrigin, position: { ...head, number: 2, commitId: 'x' }, previousCommitId: 'y', changes });
  announce({
    ...noOrigin,
    position: { epoch: 'z', number: 2, commitId: 'x' },
    previousCommitId: head.commitId,
    changes,
  });
  await view.until(() => view.seen.filter((type) => type === 'current').length >= 3);
  t.same(view.ids(), ['route/a']);
});

t.test('failed reads are trouble, cost nothing, and are reported when well again', async (t) => {
  const { store, follow, failures, announce } = await unreliable(t, { checkIntervalMs: 3_600_000 });
  for (let i = 0; i < 6; i++) {
    const ids = Array.from({ length: 400 }, (_, n) => `r${i * 400 + n}`);
    await store.commit(commitOf(...ids.map((id) => putRoute(id))));
  }
  failures.reads = 2;
  let batches = 0;
  const view = followView(t, follow, null, {
    slow: async () => {
      if (batches++ === 0) failures.reads = 3;
    },
  });
  await view.reached(await store.head());
  await view.until(() => view.seen.includes('current'));
  t.same(view.records, await contentOf(store));
  failures.reads = 3;
  const head = await store.commit(commitOf(putRoute('last')));
  announce(null);
  await view.reached(head);
  t.ok(view.troubles.length >= 6);
  t.equal(view.troubles.at(-1), null);
});

t.test('a scan that fails half-way goes on from where it was', async (t) => {
  const { store, follow, failures } = await unreliable(t);
  for (let i = 0; i < 6; i++) {
    const ids = Array.from({ length: 400 }, (_, n) => `r${i * 400 + n}`);
    await store.commit(commitOf(...ids.map((id) => putRoute(id))));
  }
  const stop = new AbortController();
  const ids = new Set<string>();
  const troubles: unknown[] = [];
  let records = 0;
  const options = {
    kinds: ['route'] as const,
    signal: stop.signal,
    onTrouble: (e: unknown) => troubles.push(e),
  };
  for await (const event of follow(null, options)) {
    if (event.type !== 'snapshot') break;
    for await (const batch of event.records) {
      records += batch.length;
      for (const { id } of batch) ids.add(id);
      failures.reads = 2;
    }
  }
  stop.abort();
  t.equal(ids.size, 2_400);
  t.equal(records, 2_400);
  t.equal(troubles.filter((trouble) => trouble === null).length, 3, 'trouble and recovery at each read');
});

t.test('a snapshot whose history moves on under the scan rejects, and another comes', async (t) => {
  const { store, follow } = await unreliable(t, { checkIntervalMs: 5 });
  for (let i = 0; i < 3; i++) {
    const ids = Array.from({ length: 500 }, (_, n) => `r${i * 500 + n}`);
    await store.commit(commitOf(...ids.map((id) => putRoute(id))));
  }
  let snapshots = 0;
  const stop = new AbortController();
  for await (const event of follow(null, { kinds: ['route'], signal: stop.signal })) {
    if (event.type !== 'snapshot') break;
    snapshots += 1;
    const read = (async () => {
      for await (const _ of event.records) {
        // More commits than the log keeps.
        for (let i = 0; snapshots === 1 && i < 40; i++) await store.commit(commitOf(putRoute('x')));
      }
    })();
    if (snapshots === 1) await t.rejects(read, { code: 'store_unavailable' });
    else await read;
  }
  stop.abort();
  t.equal(snapshots, 2);
});

t.test('a snapshot that is stopped rejects instead of passing for a small one', async (t) => {
  const { store, follow } = await unreliable(t);
  for (let i = 0; i < 3; i++) {
    const ids = Array.from({ length: 500 }, (_, n) => `r${i * 500 + n}`);
    await store.commit(commitOf(...ids.map((id) => putRoute(id))));
  }
  const stop = new AbortController();
  for await (const event of follow(null, { kinds: ['route'], signal: stop.signal })) {
    if (event.type !== 'snapshot') continue;
    const read = (async () => {
      for await (const _ of event.records) stop.abort();
    })();
    await t.rejects(read, { code: 'shutting_down' });
  }
  t.pass('ended');
});

t.test(
  'announcements for a consumer that does not read are dropped, and read from the log later',
  async (t) => {
    const { store, follow, announced, announce } = await unreliable(t, {
      maxPending: 3,
      checkIntervalMs: 3_600_000,
    });
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const view = followView(t, follow, await store.head(), { slow: () => gate });
    await view.until(() => view.seen.includes('current'));
    for (let i = 0; i < 20; i++) await store.commit(commitOf(putRoute(`r${i}`)));
    await new Promise<void>((resolve) => setImmediate(resolve));
    for (const entry of announced) announce(entry);
    go();
    await view.reached(await store.head());
    t.equal(view.seen.filter((type) => type === 'commit').length, 20);
  },
);

t.test('ending takes the subscription back', async (t) => {
  const { store, follow, listeners } = await unreliable(t);
  const view = followView(t, follow, await store.head());
  await view.until(() => view.seen.includes('current'));
  t.equal(listeners.size, 1);
  await view.close();
  t.equal(listeners.size, 0);
});

t.test('whatever announcements are lost, doubled or late, the view is the store’s', async (t) => {
  const fate = fc.constantFrom('keep', 'lose', 'twice', 'late', 'lapse');
  await fc.assert(
    fc.asyncProperty(fc.array(fate, { minLength: 1, maxLength: 60 }), async (fates) => {
      const { store, follow, announced, announce } = await unreliable(t, {
        checkIntervalMs: 5,
        maxPending: 4,
      });
      const view = followView(t, follow, await store.head());
      const late: LogEntry[] = [];
      for (const [i, fate] of fates.entries()) {
        await store.commit(commitOf(putRoute(`r${i % 5}`)));
        const entry = announced.at(-1);
        if (entry === undefined) continue;
        if (fate === 'keep' || fate === 'twice') announce(entry);
        if (fate === 'twice') announce(entry);
        if (fate === 'lapse') announce(null);
        if (fate === 'late') late.push(entry);
        else if (late.length > 0) announce(late.pop()!);
      }
      await view.reached(await store.head());
      t.same(view.records, await contentOf(store));
      await view.close();
    }),
    { numRuns: 20 },
  );
});

t.test('a history that goes back to before the end of a scan makes another snapshot of it', async (t) => {
  const at = (number: number, history: string) => ({ epoch: 'e', number, commitId: `${history}${number}` });
  const entry = (number: number, history: string, before: string): LogEntry => ({
    position: at(number, history),
    ...noOrigin,
    previousCommitId: `${before}${number - 1}`,
    changes: [],
  });
  for (const standing of [
    [entry(11, 'b', 'a')],
    [entry(11, 'b', 'a'), entry(12, 'b', 'b'), entry(13, 'b', 'b')],
    [],
  ]) {
    // The scan begins at 10 and ends at 12, of which the second history knows only 10.
    let failedOver = false;
    const heads = [at(10, 'a'), at(12, 'a')];
    const source: FollowSource = {
      head: async () => (failedOver ? (standing.at(-1)?.position ?? at(10, 'a')) : heads.shift()!),
      readLog: async (after) => {
        const log = standing.filter(({ position }) => position.number > after.number);
        const known = failedOver ? [at(10, 'a'), ...standing.map(({ position }) => position)] : [at(10, 'a')];
        if (!known.some(({ commitId }) => commitId === after.commitId)) return null;
        return failedOver ? log : [];
      },
      list: async () => ({ items: [], next: null }),
      onAnnouncement: () => () => {},
    };
    const ended = new AbortController();
    const seen: string[] = [];
    for await (const event of follow(
      source,
      null,
      { kinds: ['route'], signal: ended.signal },
      { retryMs: 1 },
    )) {
      if (event.type !== 'commit') seen.push(event.type);
      if (event.type === 'snapshot') {
        for await (const _ of event.records);
        failedOver = true;
      }
      if (event.type === 'current') break;
    }
    t.same(seen, ['snapshot', 'snapshot', 'current'], `${standing.length} commits since`);
  }
});
