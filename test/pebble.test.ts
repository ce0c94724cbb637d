import { isAppError } from '@lockstep/contract';
import { createRedisStore } from '@lockstep/store';
import { testFolder } from '@lockstep/testkit';
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
  },
);

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
