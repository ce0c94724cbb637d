import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { deriveEdgeKey, generateSecretKey } from '@lockstep/pki';
import { freePort, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import type { Feed } from '../../src/feed/feed.ts';
import { createConfiguredStore } from '../configured-store.ts';
import {
  appliedAt,
  childrenOf,
  local,
  serveThree,
  spawnTestEdge,
  startTestEdge,
  statusOf,
  threeHosts,
} from '../start-test-edge.ts';

/** A feed of a store that is not there. */
const deadFeed: Feed = {
  async *follow(_from, { signal, onTrouble }) {
    onTrouble?.(new Error('the store is gone'));
    await once(signal, 'abort').catch(() => {});
  },
  report: () => Promise.reject(new Error('gone')),
  leave: () => Promise.reject(new Error('gone')),
  sendHint: () => Promise.reject(new Error('gone')),
  watchHints: () => () => {},
  close: () => Promise.resolve(),
};

for (const workers of [1, 2]) {
  t.test(
    `an edge of ${workers} worker(s) serves what is committed, reports it, and leaves when it stops`,
    async (t) => {
      const configured = await createConfiguredStore();
      const { edge, addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t), workers });
      const number = await serveThree(t, configured);
      const { report, live } = await appliedAt(configured, number);
      t.match(report, {
        node: 'edge-1',
        hosts: 3,
        workers: { ready: workers, of: workers },
        refusals: [],
        held: null,
      });
      t.ok(live);
      for (const host of threeHosts) t.equal(await statusOf(configured, addresses, host), 200);
      const admin = `http://127.0.0.1:${addresses.admin.port}`;
      t.equal((await fetch(`${admin}/healthz`)).status, 200);
      t.equal((await fetch(`${admin}/readyz`)).status, 200);
      const metrics = await (await fetch(`${admin}/metrics`)).text();
      t.match(metrics, 'lockstep_edge_answers_total{status="2xx"} 3');
      t.match(metrics, `lockstep_edge_applied_revision ${number}`);
      await edge.stop();
      t.match(await edge.exited, { code: 0, error: null });
      t.same(await configured.store.listNodes(), []);
    },
  );
}

t.test('a worker that is killed is replaced, and the new one serves everything', async (t) => {
  const configured = await createConfiguredStore();
  const { edge, addresses } = await startTestEdge(t, configured, { dataDir: testFolder(t) });
  const number = await serveThree(t, configured);
  await appliedAt(configured, number);
  const [pid] = childrenOf(edge.pid!);
  process.kill(pid!, 'SIGKILL');
  await waitFor(() => childrenOf(edge.pid!).some((one) => one !== pid), { what: 'another worker' });
  await waitFor(async () => (await statusOf(configured, addresses, threeHosts[0]!)) === 200, {
    what: 'it to serve',
  });
  for (const host of threeHosts) t.equal(await statusOf(configured, addresses, host), 200);
});

t.test(
  'an edge starts from its disk when there is nothing else, without what is damaged there',
  async (t) => {
    const configured = await createConfiguredStore();
    const dataDir = testFolder(t);
    const first = await startTestEdge(t, configured, { dataDir });
    await appliedAt(configured, await serveThree(t, configured));
    process.kill(first.edge.pid!, 'SIGKILL');
    await first.edge.exited;
    const second = await startTestEdge(t, configured, { dataDir }, deadFeed);
    for (const host of threeHosts) t.equal(await statusOf(configured, second.addresses, host), 200);
    await second.edge.stop();

    const saved = new DatabaseSync(join(dataDir, 'edge-cache.db'));
    const damage = saved.prepare(
      "UPDATE records SET sealed = substr(sealed, 1, 40) || '!' || substr(sealed, 42) WHERE kind = 'certificate' AND id = ?",
    );
    damage.run(threeHosts[2]!);
    saved.close();
    const { addresses } = await startTestEdge(t, configured, { dataDir }, deadFeed);
    for (const host of threeHosts.slice(0, 2)) t.equal(await statusOf(configured, addresses, host), 200);
    await t.rejects(statusOf(configured, addresses, threeHosts[2]!));
    const admin = `http://127.0.0.1:${addresses.admin.port}`;
    const readyz = await fetch(`${admin}/readyz`);
    t.equal(readyz.status, 200);
    t.match(await readyz.json(), { status: 'degraded' });
    const metrics = await (await fetch(`${admin}/metrics`)).text();
    t.match(metrics, 'lockstep_edge_refusals 1');
    t.match(metrics, 'lockstep_edge_feed_state{state="broken"} 1');
  },
);

t.test('an edge that was saved by a version without settings learns them from the store', async (t) => {
  const configured = await createConfiguredStore();
  const dataDir = testFolder(t);
  const first = await startTestEdge(t, configured, { dataDir });
  await serveThree(t, configured);
  await appliedAt(configured, (await configured.commit(configured.settingsChange({ holdMs: 0 }))).number);
  await first.edge.stop();
  const saved = new DatabaseSync(join(dataDir, 'edge-cache.db'));
  saved.exec(`DELETE FROM records WHERE kind = 'edge-settings';
    UPDATE meta SET value = json_remove(value, '$.kinds') WHERE key = 'position'`);
  saved.close();

  const asked: string[] = [];
  configured.store.watchHints((hint) => {
    if (hint.hint === 'ask') asked.push(hint.host);
  });
  const { addresses } = await startTestEdge(t, configured, { dataDir });
  t.equal(await statusOf(configured, addresses, threeHosts[0]!), 200, 'serving from its disk at once');
  await waitFor(
    async () => {
      await t.rejects(statusOf(configured, addresses, 'new.example.com'));
      return asked.includes('new.example.com');
    },
    { what: 'a name that is not known to be asked about' },
  );
});

t.test('a damaged disk copy is set aside and the edge serves what its feed says', async (t) => {
  const configured = await createConfiguredStore();
  const dataDir = testFolder(t);
  const first = await startTestEdge(t, configured, { dataDir });
  const number = await serveThree(t, configured);
  await appliedAt(configured, number);
  await first.edge.stop();
  const before = readdirSync(dataDir);
  for (const name of before) if (name.endsWith('.db')) writeFileSync(join(dataDir, name), 'x'.repeat(8192));
  const { addresses } = await startTestEdge(t, configured, { dataDir });
  await appliedAt(configured, number);
  t.equal(await statusOf(configured, addresses, threeHosts[0]!), 200);
  t.ok(readdirSync(dataDir).length > before.length, 'the damaged file is kept beside');
});

t.test('a disk copy of another secret key is one clear error', async (t) => {
  const configured = await createConfiguredStore();
  const dataDir = testFolder(t);
  const first = await startTestEdge(t, configured, { dataDir });
  await appliedAt(configured, await serveThree(t, configured));
  await first.edge.stop();
  const edge = spawnTestEdge(t, { ...configured, edgeKey: deriveEdgeKey(generateSecretKey()) }, { dataDir });
  await t.rejects(edge.ready, { code: 'wrong_secret_key' });
  t.match(await edge.exited, { code: 1 });
});

for (const workers of [1, 2]) {
  t.test(`a taken port is one clear error with nothing left behind, with ${workers} worker(s)`, async (t) => {
    const configured = await createConfiguredStore();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.teardown(() => taken.close());
    const { port } = taken.address() as { port: number };
    for (const which of workers === 1 ? ['https', 'http', 'admin'] : ['https']) {
      const other = await freePort();
      const edge = spawnTestEdge(t, configured, {
        dataDir: testFolder(t),
        workers,
        [which === 'http' ? 'https' : 'http']: local(other),
        [which]: local(port),
      });
      await t.rejects(
        edge.ready,
        { code: 'bad_configuration', message: `127.0.0.1:${port} is in use` },
        which,
      );
      t.match(await edge.exited, { code: 1 });
      const again = createServer().listen(other, '127.0.0.1');
      await once(again, 'listening');
      again.close();
    }
  });
}

t.test('two edges cannot share a port by both sharing it among their workers', async (t) => {
  const configured = await createConfiguredStore();
  const dataDir = testFolder(t, { one: {}, two: {} });
  const { addresses } = await startTestEdge(t, configured, { dataDir: join(dataDir, 'one'), workers: 2 });
  const second = spawnTestEdge(t, configured, {
    node: 'edge-2',
    dataDir: join(dataDir, 'two'),
    workers: 2,
    https: addresses.https,
  });
  await t.rejects(second.ready, { code: 'bad_configuration' });
});
