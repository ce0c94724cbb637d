import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startPebbleFleet } from './fleet/start-pebble-fleet.ts';

const hostCount = 300;
const killEveryMs = 2_000;

t.test(
  'three control planes, one killed every two seconds: every host live, at most one order more than needed for each kill',
  { timeout: 150_000 },
  async (t) => {
    const { fleet, pebble, upstream } = await startPebbleFleet(t, { dir: t.testdir(), controlPlanes: 3 });
    const { controlPlanes } = fleet;

    let kills = 0;
    const done = new AbortController();
    const killing = (async () => {
      while (!done.signal.aborted) {
        // The rhythm is the test's subject, not a wait for something.
        await pause(killEveryMs, undefined, { signal: done.signal }).catch(() => {});
        if (done.signal.aborted) return;
        const victim = controlPlanes[randomInt(controlPlanes.length)]!;
        await victim.process.kill();
        kills += 1;
        void victim.start().catch(() => {}); // killed again before it was ready, perhaps
      }
    })();

    const hosts = Array.from({ length: hostCount }, (_, index) => `shop-${index}.example.com`);
    const at = () => controlPlanes[randomInt(controlPlanes.length)]!.url;
    for (const [index, host] of hosts.entries()) {
      const body = { hosts: [host], upstreams: [{ url: upstream.url }] };
      await waitFor(
        async () => (await fleet.call('PUT', `/v1/routes/r${index}`, body, {}, at())).status < 300,
        { what: `a control plane that takes ${host}`, timeoutMs: 30_000 },
      );
    }
    await waitFor(
      async () => {
        const { body } = await fleet.call('GET', '/v1/routes?limit=1000', undefined, {}, at());
        const live = body.items.filter(
          ({ status }: { status: { state: string } }) => status.state === 'live',
        );
        return live.length === hostCount;
      },
      { what: 'every route to be live', timeoutMs: 120_000 },
    );
    done.abort();
    await killing;

    const roots = await pebble.issuingRoots();
    for (const edge of fleet.edges) {
      const served = await Promise.all(hosts.map((host) => fleet.get(edge, host, roots)));
      t.equal(
        served.filter(({ status }) => status === 200).length,
        hostCount,
        `${edge.node} serves every host`,
      );
    }
    t.ok(kills > 0, 'control planes were killed');
    t.ok(
      pebble.orderCount() <= hostCount + kills,
      `${pebble.orderCount()} orders for ${hostCount} hosts and ${kills} kills`,
    );
    t.comment(`${pebble.orderCount()} orders for ${hostCount} hosts and ${kills} kills`);
  },
);
