import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { BehindNode, Kind } from '@lockstep/contract';
import { startUpstream, testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { buildRelease } from './fleet/build-release.ts';
import { type EdgeUnderTest, startFleet } from './fleet/start-fleet.ts';

/*
 * This checkout is the earlier release. The later one has a kind of records more, which its routes need, and writes routes in a version
 * that the earlier one cannot read. Two releases in between lack one of these each.
 */
const dir = testFolder(t);
const [later, lacksKind, lacksVersion] = await Promise.all([
  buildRelease(join(dir, 'later'), { notices: true, routeVersion: 2 }),
  buildRelease(join(dir, 'lacks-kind'), { notices: false, routeVersion: 2 }),
  buildRelease(join(dir, 'lacks-version'), { notices: true, routeVersion: 1 }),
]);
const doesNotKnow = /does not know what a notice is; upgrade it/;
const refusesVersion = /refused .*the record is of version 2, where version 1 is read/;

const names = ['one', 'two'] as const;
const upstreams = await Promise.all(names.map((name) => startUpstream((_, response) => response.end(name))));
t.teardown(() => Promise.all(upstreams.map((upstream) => upstream.close())));
const seasoned = ['a', 'b', 'c', 'd', 'e', 'f'];
const clientsPerEdge = 2;
const pauseMs = 25;

type Reasons = Record<string, RegExp>;

async function startMixedFleet(t: Test, edgeRoots: (string | undefined)[]) {
  const fleet = await startFleet(t, { dir: testFolder(t), edges: edgeRoots.length, edgeRoots });
  const { edges, controlPlane } = fleet;
  for (const id of seasoned) await fleet.putOnceStoreIsBack(id, `${id}.example.com`, upstreams[0]!.url);
  const ca = await fleet.internalRoot();
  /** By route, which upstream answers since its last change. */
  const led = new Map<string, (typeof names)[number]>(seasoned.map((id) => [id, 'one']));
  const failures: string[] = [];
  const falselyLive: string[] = [];
  let answered = 0;
  let changes = 0;

  const answerOf = (edge: EdgeUnderTest, id: string) =>
    fleet.get(edge, `${id}.example.com`, ca).then(
      ({ status, body }) => (status === 200 ? body : `status ${status}`),
      (error: Error) => error.message,
    );

  /** Clients of one edge, as a balancer sends them there while it is in service: for hosts that it has served before. */
  function sendTo(edge: EdgeUnderTest) {
    let stopped = false;
    const clients = Array.from({ length: clientsPerEdge }, async (_, index) => {
      for (let turn = index; !stopped; turn += 1) {
        const answer = await answerOf(edge, seasoned[turn % seasoned.length]!);
        if (names.some((name) => name === answer)) answered += 1;
        else failures.push(`${edge.node}: ${answer}`);
        await delay(pauseMs);
      }
    });
    return async () => {
      stopped = true;
      await Promise.all(clients);
    };
  }
  const load = new Map(edges.map((edge) => [edge, sendTo(edge)]));
  const stopLoad = () => Promise.all([...load.values()].map((stop) => stop()));
  t.teardown(stopLoad);

  /** Whoever is not said to be behind has to serve the route as it was changed last. */
  async function statusOf(id: string) {
    const { status } = (await fleet.call('GET', `/v1/routes/${id}`)).body;
    const behind: BehindNode[] = status.nodes.behind;
    if (status.state === 'live' && behind.length > 0) falselyLive.push(`${id}: ${JSON.stringify(behind)}`);
    for (const edge of status.nodes.live === 0 ? [] : edges) {
      if (behind.some(({ node }) => node === edge.node)) continue;
      const answer = await answerOf(edge, id);
      if (answer !== led.get(id)) falselyLive.push(`${id} at ${edge.node}: ${answer}`);
    }
    return { state: status.state as string, live: Number(status.nodes.live), behind };
  }

  return {
    ...fleet,
    /** Changes routes and makes new ones; each is then live but for `lesser`, which are named with their reasons. */
    async change(count: number, lesser: Reasons): Promise<void> {
      for (let index = 0; index < count; index += 1) {
        changes += 1;
        const id = changes % 5 === 0 ? `new-${changes}` : seasoned[changes % seasoned.length]!;
        const to = led.get(id) === 'one' ? 1 : 0;
        const body = { hosts: [`${id}.example.com`], upstreams: [{ url: upstreams[to]!.url }] };
        const { status } = await fleet.call('PUT', `/v1/routes/${id}`, body);
        led.set(id, names[to]!);
        t.ok(status >= 200 && status < 300, `PUT ${id}: ${status}`);
        let seen: unknown;
        await waitFor(
          async () => {
            const { state, live, behind } = await statusOf(id);
            seen = { state, live, behind };
            return (
              live === edges.length - Object.keys(lesser).length &&
              (state === 'live') === (behind.length === 0) &&
              are(behind, lesser)
            );
          },
          { what: `${id} to be served by all but ${Object.keys(lesser)}` },
        ).catch((error) => {
          throw new Error(`${error.message}, at ${JSON.stringify(seen)}`, { cause: error });
        });
      }
    },
    /** The fleet's status names exactly these. */
    async behind(lesser: Reasons): Promise<void> {
      await waitFor(
        async () => {
          const { inStep, behind } = (await fleet.call('GET', '/v1/fleet')).body;
          return inStep === (behind.length === 0) && are(behind, lesser);
        },
        { what: `the fleet to be in step but for ${Object.keys(lesser)}` },
      );
    },
    async upgradeEdge(edge: EdgeUnderTest): Promise<void> {
      await load.get(edge)?.();
      await edge.process.signal('SIGQUIT');
      edge.root = later;
      await edge.start();
      load.set(edge, sendTo(edge));
    },
    /** The edges are sent requests meanwhile. */
    async upgradeControlPlane(): Promise<void> {
      await controlPlane.process.signal('SIGTERM');
      controlPlane.root = later;
      await controlPlane.start();
      await putNotice();
    },
    async end(): Promise<void> {
      for (const id of led.keys()) {
        await waitFor(async () => (await statusOf(id)).state === 'live', { what: `${id} to be live` });
        for (const edge of edges) t.equal(await answerOf(edge, id), led.get(id), `${id} at ${edge.node}`);
      }
      await stopLoad();
      t.ok(answered > 100, `${answered} requests answered`);
      t.same(failures, [], 'no request failed');
      t.same(falselyLive, [], 'nothing was live that was not served');
      t.comment(`${answered} requests, ${changes} changes`);
    },
  };

  /** As a part of the later control plane would. */
  async function putNotice(): Promise<void> {
    const library: typeof import('@lockstep/store') = await import(
      pathToFileURL(join(later!, 'packages/store/src/index.ts')).href
    );
    const { LOCKSTEP_STORE: url, LOCKSTEP_STORE_PREFIX: prefix } = fleet.env;
    const store = library.createRedisStore({ url, prefix });
    await store.open({ create: false, expectedEpoch: null });
    const change = { op: 'put', kind: 'notice' as Kind, id: 'all', value: { text: 'hello' } };
    await store.commit({ id: 'the-notice', changes: [change] } as never);
    await store.close();
  }
}

function are(behind: readonly BehindNode[], lesser: Reasons): boolean {
  return (
    behind.length === Object.keys(lesser).length &&
    behind.every(({ node, reason }) => lesser[node]?.test(reason))
  );
}

t.test(
  'control planes upgraded first: an edge that lacks a kind, or a version of one, is named until it is upgraded, and fails no request',
  async (t) => {
    const fleet = await startMixedFleet(t, [later, lacksKind, lacksVersion]);
    const [, two, three] = fleet.edges as [EdgeUnderTest, EdgeUnderTest, EdgeUnderTest];
    await fleet.change(20, {});
    await fleet.upgradeControlPlane();
    await fleet.change(150, { 'edge-2': doesNotKnow, 'edge-3': refusesVersion });
    await fleet.behind({ 'edge-2': doesNotKnow, 'edge-3': refusesVersion });
    await fleet.upgradeEdge(two);
    await fleet.behind({ 'edge-3': refusesVersion });
    await fleet.change(75, { 'edge-3': refusesVersion });
    await fleet.upgradeEdge(three);
    await fleet.behind({});
    await fleet.change(75, {});
    await fleet.end();
  },
);

t.test('edges upgraded first: everything is live at each step, and no request fails', async (t) => {
  const fleet = await startMixedFleet(t, [undefined, lacksKind, lacksVersion]);
  await fleet.change(20, {});
  for (const edge of fleet.edges) {
    await fleet.upgradeEdge(edge);
    await fleet.change(50, {});
  }
  await fleet.upgradeControlPlane();
  await fleet.behind({});
  await fleet.change(100, {});
  await fleet.end();
});
