import { randomBytes } from 'node:crypto';
import { cp, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { edgeKinds, isAppError, type Kind, kinds } from '@lockstep/contract';
import { createEdgeSealer, createSealer, type Sealer } from '@lockstep/pki';
import { createRedisStore } from '@lockstep/store';
import { readSealed, testFolder, waitFor } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { startPebbleFleet } from './fleet/start-pebble-fleet.ts';

const hostCount = 20;

t.test(
  '20 hosts from a real CA, challenges dealt to the edges in turn: one order each, every edge serves each',
  async (t) => {
    const dir = testFolder(t);
    const { fleet, pebble, upstream } = await startPebbleFleet(t, { dir });

    const latencies = measureLatencies(
      t,
      fleet.env.LOCKSTEP_STORE,
      fleet.env.LOCKSTEP_STORE_PREFIX,
      fleet.edges.length,
    );
    await latencies.following;
    const hosts = Array.from({ length: hostCount }, (_, index) => `shop-${index}.example.com`);
    const answers = await Promise.all(hosts.map((host) => fleet.post(host, upstream.url)));
    for (const { status, body } of answers)
      t.match(
        { status, body },
        { status: 201, body: { status: { state: 'live', nodes: { live: 2, of: 2 } } } },
      );

    const roots = await pebble.issuingRoots();
    for (const edge of fleet.edges) {
      const served = await Promise.all(hosts.map((host) => fleet.get(edge, host, roots)));
      t.ok(
        served.every(({ status }) => status === 200),
        `${edge.node} serves every host with a chain that verifies`,
      );
    }
    t.equal(pebble.orderCount(), hostCount, 'the CA saw one order for each host');
    const measured = await latencies.finish();
    t.equal(measured.length, hostCount);
    t.comment(
      `certificate committed to acknowledged by the last edge: p50 ${at(measured, 0.5)} ms, p99 ${at(measured, 0.99)} ms`,
    );

    await t.test('an edge reads, is told and keeps nothing that is for control planes alone', async (t) => {
      const {
        LOCKSTEP_STORE: url,
        LOCKSTEP_STORE_PREFIX: prefix,
        LOCKSTEP_SECRET_KEY: secretKey,
      } = fleet.env;
      const urlOfEdge = url.replace('redis://', 'redis://edge-1:PASSWORD@');
      await createUserOfEdge(t, url, prefix);
      const listener = new Redis(urlOfEdge);
      t.teardown(() => listener.disconnect());
      const heard: string[] = [];
      listener.on('message', (_channel, message) => heard.push(message));
      await listener.subscribe(`{${prefix}}:edge:commits`);

      const secret = randomBytes(24).toString('base64url');
      const hook = { type: 'webhook', url: 'https://hook.example.com/', secret };
      const onDemand = { ask: `https://ask.example.com/${secret}` };
      const other = { directory: pebble.directory, eab: { kid: 'kid', hmacKey: secret }, dnsProvider: hook };
      t.equal((await fleet.call('PUT', '/v1/issuers/other', other)).status, 201);
      t.equal((await fleet.call('PUT', '/v1/settings', { dnsProvider: hook, onDemand })).status, 200);
      await waitFor(() => heard.length > 1, { what: 'both commits' });
      const controlKinds = kinds.filter((kind) => !edgeKinds.includes(kind));
      const [ofEdge, ofControlPlane] = [urlOfEdge, url].map((url) => createRedisStore({ url, prefix }));
      t.teardown(() => Promise.all([ofEdge, ofControlPlane].map((store) => store?.close())));
      const edge = createEdgeSealer(fleet.edgeEnv.LOCKSTEP_EDGE_KEY);
      const controlPlane = createSealer(secretKey);

      const opened = new Set<string>();
      for (const { kind, sealed, context } of await readSealed(ofEdge!, edgeKinds)) {
        edge.open(sealed, context);
        opened.add(kind);
      }
      t.strictSame([...opened].sort(), ['certificate', 'edge-canary', 'session-tickets']);

      const shut = await readSealed(ofControlPlane!, controlKinds);
      for (const { kind, id, sealed, context } of shut) {
        const refusal = { code: 'wrong_secret_key', message: /sealed for control planes alone/ };
        t.throws(() => edge.open(sealed, context), refusal, `${kind}/${id}`);
        controlPlane.open(sealed, context);
      }
      const shutKinds = new Set(shut.map(({ kind }) => kind));
      t.strictSame([...shutKinds].sort(), ['account', 'canary', 'issuer', 'settings']);
      for (const kind of controlKinds) await t.rejects(ofEdge!.list(kind, { limit: 1 }), /NOPERM/, kind);

      const forControlPlanes = ['v1.control-planes.', secret, ...shut.map(({ sealed }) => sealed)];
      const tells = (text: string) => forControlPlanes.some((one) => text.includes(one));
      t.notOk(heard.some(tells), `${heard.length} announcements`);
      for (const { node } of fleet.edges) {
        const { files, records } = await waitFor(
          async () => {
            const saved = await readDiskCopy(t, join(dir, node), edge);
            return saved.records.some(({ kind }) => kind === 'edge-settings') && saved;
          },
          { what: 'the settings on the disk' },
        );
        t.notOk(files.some(tells), `no file of ${node}`);
        t.notOk(
          records.some(({ value }) => tells(value)),
          `no record of ${node}`,
        );
        t.strictSame(
          records.filter(({ kind }) => !edgeKinds.includes(kind)),
          [],
        );
      }
    });
  },
);

/** What lies in an edge's data folder: each file as it is, and the records of the saved configuration, opened. */
async function readDiskCopy(test: Test, folder: string, sealer: Sealer<'edges'>) {
  const copy = testFolder(test);
  await cp(folder, copy, { recursive: true, filter: async (path) => !(await stat(path)).isSocket() });
  const paths = await readdir(copy, { recursive: true, withFileTypes: true });
  const files = await Promise.all(
    paths
      .filter((entry) => entry.isFile())
      .map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1')),
  );
  const database = new DatabaseSync(join(copy, 'edge-cache.db'));
  try {
    const rows = database.prepare('SELECT kind, id, revision, sealed FROM records').all();
    const records = rows.map(({ kind, id, revision, sealed }) => ({
      kind: kind as Kind,
      value: sealer.open(String(sealed), `cache/${kind}/${id}/${revision}`),
    }));
    return { files, records };
  } finally {
    database.close();
  }
}

/** `edge-1` with the rights and the password that docs/install-an-edge.md gives it. */
async function createUserOfEdge(
  test: Pick<typeof t, 'teardown'>,
  url: string,
  prefix: string,
): Promise<void> {
  const page = await readFile(new URL('../docs/install-an-edge.md', import.meta.url), 'utf8');
  const [, rights = ''] = /^user edge-1 (.+)$/m.exec(page.replaceAll('{lockstep}', `{${prefix}}`)) ?? [];
  const admin = new Redis(url);
  test.teardown(() => admin.disconnect());
  await admin.acl('SETUSER', 'edge-1', ...rights.match(/\([^)]*\)|\S+/g)!);
}

function at(sorted: number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN).toFixed(1);
}

/** From the announcement of each certificate's commit to the report of the last node that applied it, in milliseconds. */
function measureLatencies(test: Pick<typeof t, 'teardown'>, url: string, prefix: string, nodes: number) {
  const store = createRedisStore({ url, prefix });
  const stop = new AbortController();
  test.teardown(async () => {
    stop.abort();
    await store.close();
  });
  const committedAt = new Map<number, number>();
  const appliedAt = new Map<number, Map<string, number>>();
  store.watchNodes((presence) => {
    const number = presence?.report.applied?.number;
    if (presence === null || number === undefined) return;
    for (const revision of committedAt.keys()) {
      const byNode = appliedAt.get(revision) ?? new Map<string, number>();
      appliedAt.set(revision, byNode);
      if (number >= revision && !byNode.has(presence.report.node))
        byNode.set(presence.report.node, performance.now());
    }
  });
  const following = Promise.withResolvers<void>();
  const run = async () => {
    for await (const event of store.follow(null, { kinds: ['certificate'], signal: stop.signal })) {
      if (event.type === 'snapshot') for await (const _records of event.records);
      if (event.type === 'current') following.resolve();
      if (event.type !== 'commit' || event.entry.changes.length === 0) continue;
      committedAt.set(event.entry.position.number, performance.now());
    }
  };
  const ended = run().catch((error) => {
    if (!isAppError(error)) throw error;
  });
  return {
    following: following.promise,
    async finish(): Promise<number[]> {
      stop.abort();
      await ended;
      return [...committedAt]
        .flatMap(([revision, from]) => {
          const byNode = appliedAt.get(revision);
          return byNode?.size === nodes ? [Math.max(...byNode.values()) - from] : [];
        })
        .sort((a, b) => a - b);
    },
  };
}
