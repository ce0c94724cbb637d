import { join } from 'node:path';
import { AppError, createBoundary, type FollowEvent } from '@lockstep/contract';
import { createEdgeSealer } from '@lockstep/pki';
import { createConfigCache } from '@lockstep/store';
import { testFolder, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createStoreFeed } from '../../src/feed/store-feed.ts';
import { createReplica, type Replica } from '../../src/supervisor/replica.ts';
import { createConfiguredStore } from '../configured-store.ts';

const log = pino({ level: 'silent' });

/** What a worker is given: the number of each snapshot and commit. */
function watch(replica: Replica, signal: AbortSignal): string[] {
  const given: string[] = [];
  void (async () => {
    for await (const event of replica.feed.follow(null, { signal }) as AsyncIterable<FollowEvent>) {
      if (event.type === 'commit') given.push(`commit ${event.entry.position.number}`);
      if (event.type !== 'snapshot') continue;
      for await (const _ of event.records);
      given.push(`snapshot ${event.position.number}`);
    }
  })();
  return given;
}

t.test(
  'with a full disk, later changes reach the workers, old and new, and are saved when there is room',
  async (t) => {
    const configured = await createConfiguredStore();
    const { store } = configured;
    const cache = createConfigCache({
      path: join(testFolder(t), 'cache.db'),
      sealer: createEdgeSealer(configured.edgeKey),
      log,
    });
    // A disk that is full for one process alone cannot be had without privileges.
    let full = false;
    const replica = createReplica({
      node: 'edge-1',
      cache: {
        ...cache,
        apply(entries) {
          if (full) throw new AppError('internal', 'the saved configuration cannot be used: disk full');
          cache.apply(entries);
        },
      },
      feed: createStoreFeed(store),
      log,
      boundary: createBoundary(log),
      onChange: () => {},
      saveAgainMs: 20,
      onFatal: t.fail,
    });
    const ended = new AbortController();
    t.teardown(async () => {
      ended.abort();
      await replica.close();
      cache.close();
      await store.close();
    });
    const at = (number: number, given: string[]) =>
      waitFor(() => given.at(-1)?.endsWith(` ${number}`), { what: `revision ${number} at a worker` });
    const commit = async (id: string) =>
      (await configured.commit(configured.routeChange(id, [`${id}.example.com`], ['http://127.0.0.1:1'])))
        .number;

    const first = await commit('a');
    replica.start();
    const given = watch(replica, ended.signal);
    await at(first, given);
    await commit('b');
    await at(first + 1, given);
    await waitFor(() => cache.position()?.number === first + 1, { what: 'it to be on disk' });
    t.equal(replica.unsaved, 0);

    full = true;
    await commit('c');
    await commit('d');
    await at(first + 3, given);
    await waitFor(() => replica.unsaved === 2, { what: 'the disk to refuse both' });
    t.equal(cache.position()?.number, first + 1);
    replica.restart();
    await commit('e');
    await at(first + 4, given);
    t.same(
      given,
      [`snapshot ${first}`, ...[1, 2, 3, 4].map((n) => `commit ${first + n}`)],
      'each once, also when the feed is followed anew',
    );

    const late = watch(replica, ended.signal);
    await at(first + 4, late);
    t.same(late, [`snapshot ${first + 1}`, ...[2, 3, 4].map((n) => `commit ${first + n}`)]);

    full = false;
    await waitFor(() => cache.position()?.number === first + 4, { what: 'the disk to have all of it' });
    t.equal(replica.unsaved, 0);
    t.equal(cache.hosts(), 5);
    await commit('f');
    await at(first + 5, given);
    await waitFor(() => cache.position()?.number === first + 5, { what: 'the next change on disk' });
  },
);
