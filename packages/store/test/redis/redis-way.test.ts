import { randomUUID } from 'node:crypto';
import { createRedisStore } from '@lockstep/store';
import { startRedis, startTroubledWay, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { commitOf, putRoute, report } from '../conformance/records.ts';
import { contentOf, followView } from '../conformance/view.ts';

t.test('a bad way to Redis', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.close());
  const way = await startTroubledWay(server.port);
  t.teardown(() => way.close());

  await t.test('connections that swallow their handshake are given up and dialled again', async (t) => {
    const { store, prefix } = await openStore(t, server.url);
    await store.commit(commitOf(putRoute('a')));
    way.swallow = true;
    const far = connect(t, way.url, prefix);
    const view = followView(t, far.follow, null);
    await t.rejects(far.reportNode(report('edge-1')), { code: 'store_unavailable' });
    await waitFor(() => way.swallowed >= 2, { what: 'both connections to be swallowed' });
    way.swallow = false;
    await view.reached(await store.head());
    await view.reached(await store.commit(commitOf(putRoute('b'))));
    await waitFor(() => far.reportNode(report('edge-1')).then(() => true), { what: 'a report' });
  });

  await t.test('answers that come a byte at a time are put together', async (t) => {
    way.splitBytes = true;
    t.teardown(() => {
      way.splitBytes = false;
    });
    const { store, prefix } = await openStore(t, server.url);
    await store.commit(commitOf(putRoute('a', ['ä.example.com', '名.example.com'])));
    const far = connect(t, way.url, prefix);
    const view = followView(t, far.follow, null);
    await view.until(() => view.seen.includes('current'));
    await view.reached(await store.commit(commitOf(putRoute('b', ['🔒.example.com']))));
    t.same(view.records, await contentOf(store));
  });
});

function connect(t: Test, url: string, prefix: string) {
  const store = createRedisStore({ url, prefix });
  t.teardown(() => store.close());
  return store;
}

async function openStore(t: Test, url: string, prefix = `test-${randomUUID()}`) {
  const store = connect(t, url, prefix);
  await store.open({ create: true, expectedEpoch: null });
  return { store, prefix };
}
