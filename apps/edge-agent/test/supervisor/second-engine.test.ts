import type { Hint } from '@lockstep/contract';
import { testFolder, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { Feed } from '../../src/feed/feed.ts';
import { createStoreFeed } from '../../src/feed/store-feed.ts';
import { createSupervisor } from '../../src/supervisor/supervisor.ts';
import { type ConfiguredStore, createConfiguredStore } from '../configured-store.ts';
import { appliedAt, local } from '../start-test-edge.ts';
import { createMemoryEngine, type MemoryEngine } from './memory-engine.ts';

/** An edge whose engine is not the native one, in this process. */
async function startEdge(
  t: Test,
  configured: ConfiguredStore,
  engine: MemoryEngine,
  {
    dataDir = testFolder(t),
    feed = createStoreFeed(configured.store),
  }: { dataDir?: string; feed?: Feed } = {},
) {
  const supervisor = createSupervisor({
    config: {
      node: 'edge-1',
      dataDir,
      https: local(),
      http: local(),
      admin: local(),
      publicHttpsPort: null,
      workers: 1,
      logLevel: 'silent',
    },
    edgeKey: configured.edgeKey,
    feed: { ...feed, close: async () => {} },
    createEngine: engine.create,
    log: pino({ level: 'silent' }),
    onFatal: t.fail,
  });
  t.teardown(() => supervisor.stop());
  return { supervisor, addresses: await supervisor.start() };
}

async function store(t: Test): Promise<ConfiguredStore> {
  const configured = await createConfiguredStore();
  t.teardown(() => configured.close());
  return configured;
}

t.test('an edge with another engine follows, acknowledges what is in force, and is ready', async (t) => {
  const configured = await store(t);
  const engine = createMemoryEngine();
  const { addresses } = await startEdge(t, configured, engine);
  await configured.serve('a', ['a.example.com'], ['http://127.0.0.1:1']);
  const { number } = await configured.serve('b', ['b.example.com'], ['http://127.0.0.1:1']);
  const { report, live } = await waitFor(
    async () => {
      const node = await appliedAt(configured, number);
      return node.report.hosts === 2 && node; // counted on the disk, which comes after
    },
    { what: 'both hosts to be counted' },
  );
  t.same(Object.fromEntries(engine.routes), { a: ['a.example.com'], b: ['b.example.com'] });
  t.ok(live);
  t.match(report, { workers: { ready: 1, of: 1 }, refusals: [], hosts: 2 });
  t.same(
    report.capabilities,
    { kinds: ['route', 'confirmation', 'drain', 'edge-canary'] },
    'and says what the engine can do',
  );
  const { port } = addresses.admin;
  t.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  t.match(metrics, 'lockstep_edge_failed_exchanges_total{cause="upstream_of_memory"} 0');
  t.match(metrics, `lockstep_edge_applied_revision ${number}`);
  t.match(engine.given().ownServices(), [addresses.admin], 'it knows where no upstream may lead');
});

t.test('what the engine refuses is reported by name, and the others are in force', async (t) => {
  const configured = await store(t);
  const engine = createMemoryEngine(['bad']);
  await startEdge(t, configured, engine);
  const { number: revision } = await configured.serve('bad', ['bad.example.com'], ['http://127.0.0.1:1']);
  const { number } = await configured.serve('good', ['good.example.com'], ['http://127.0.0.1:1']);
  const { report } = await appliedAt(configured, number);
  t.match(report.refusals, [{ kind: 'route', id: 'bad', reason: 'not for this engine' }]);
  t.ok(report.refusals[0]!.revision <= revision);
  t.same([...engine.routes.keys()], ['good']);
});

t.test('the engine is drained when the edge stops, and the edge leaves the fleet', async (t) => {
  const configured = await store(t);
  const engine = createMemoryEngine();
  const { supervisor } = await startEdge(t, configured, engine);
  const { number } = await configured.serve('a', ['a.example.com'], ['http://127.0.0.1:1']);
  await appliedAt(configured, number);
  await supervisor.stop();
  t.same(engine.calls, ['bound', 'started', 'set drained', 'drained']);
  t.same(await configured.store.listNodes(), []);
});

t.test('an engine starts from the disk of the edge when there is nothing else', async (t) => {
  const configured = await store(t);
  const dataDir = testFolder(t);
  const first = createMemoryEngine();
  const { supervisor } = await startEdge(t, configured, first, { dataDir });
  const { number } = await configured.serve('a', ['a.example.com'], ['http://127.0.0.1:1']);
  await appliedAt(configured, number);
  await supervisor.stop();
  const nothing: Feed = {
    ...createStoreFeed(configured.store),
    async *follow(_from, { signal }) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  };
  const second = createMemoryEngine();
  await startEdge(t, configured, second, { dataDir, feed: nothing });
  t.ok(second.given().hasConfiguration());
  await waitFor(() => second.routes.size === 1, { what: 'the route of the disk' });
});

t.test('an engine asks about unknown hosts, and has the verdict', async (t) => {
  const configured = await store(t);
  const engine = createMemoryEngine();
  await startEdge(t, configured, engine);
  const { number } = await configured.commit(configured.settingsChange({}));
  await appliedAt(configured, number);
  const asked: Hint[] = [];
  configured.store.watchHints((hint) => asked.push(hint));
  const refused: string[] = [];
  const asker = { refuse: (host: string) => refused.push(host) };
  engine.given().asks.ask(asker, 'new.example.com', '192.0.2.1');
  await waitFor(() => asked.length > 0, { what: 'the question' });
  t.match(asked[0], { hint: 'ask', host: 'new.example.com', node: 'edge-1' });
  await configured.store.sendHint({
    hint: 'verdict',
    host: 'new.example.com',
    allowed: false,
    until: Date.now() + 60_000,
  });
  await waitFor(() => refused.length > 0, { what: 'the verdict' });
  t.same(refused, ['new.example.com']);
});

t.test('an engine that cannot bind keeps the edge from starting, with nothing left behind', async (t) => {
  const configured = await store(t);
  const failing = { ...createMemoryEngine(), create: () => Promise.reject(new Error('no port')) };
  const dataDir = testFolder(t);
  await t.rejects(startEdge(t, configured, failing, { dataDir }), { message: 'no port' });
  await startEdge(t, configured, createMemoryEngine(), { dataDir }); // the folder is free again
});
