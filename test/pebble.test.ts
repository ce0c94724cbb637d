import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isAppError } from '@lockstep/contract';
import { createEdgeSealer, createSealer } from '@lockstep/pki';
import { createRedisStore } from '@lockstep/store';
import { readSealed, testFolder } from '@lockstep/testkit';
import { Redis } from 'ioredis';
import t from 'tap';

import { startPebbleFleet } from './fleet/start-pebble-fleet.ts';

const hostCount = 20;

t.test(
  '20 hosts from a real CA, challenges dealt to the edges in turn: one order each, every edge serves each',
  async (t) => {
    const { fleet, pebble, upstream } = await startPebbleFleet(t, { dir: testFolder(t) });

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

    await t.test('what an edge can read of the store, its key opens for certificates alone', async (t) => {
      const {
        LOCKSTEP_STORE: url,
        LOCKSTEP_STORE_PREFIX: prefix,
        LOCKSTEP_SECRET_KEY: secretKey,
      } = fleet.env;
      const secret = randomBytes(24).toString('base64url');
      const hook = { type: 'webhook', url: 'https://hook.example.com/', secret };
      t.equal((await fleet.call('PUT', '/v1/settings', { dnsProvider: hook })).status, 200);
      const other = { directory: pebble.directory, eab: { kid: 'kid', hmacKey: secret }, dnsProvider: hook };
      t.equal((await fleet.call('PUT', '/v1/issuers/other', other)).status, 201);

      await createUserOfEdge(t, url, prefix);
      const store = createRedisStore({ url: url.replace('redis://', 'redis://edge-1:PASSWORD@'), prefix });
      t.teardown(() => store.close());
      const sealed = await readSealed(store);
      const edge = createEdgeSealer(fleet.edgeEnv.LOCKSTEP_EDGE_KEY);
      const controlPlane = createSealer(secretKey);
      const opened = new Set<string>();
      const shut = new Set<string>();
      for (const { kind, id, sealed: text, context } of sealed) {
        if (kind === 'certificate' || (kind === 'canary' && id === 'edges')) {
          edge.open(text, context);
          opened.add(kind);
        } else {
          const refusal = { code: 'wrong_secret_key', message: /sealed for control planes alone/ };
          t.throws(() => edge.open(text, context), refusal, `${kind}/${id}`);
          controlPlane.open(text, context);
          shut.add(kind);
        }
      }
      t.strictSame([...opened].sort(), ['canary', 'certificate']);
      t.strictSame([...shut].sort(), ['account', 'canary', 'issuer', 'settings']);
    });
  },
);

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
