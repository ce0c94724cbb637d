import { randomInt } from 'node:crypto';
import { testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startPebbleFleet } from './fleet/start-pebble-fleet.ts';

const hostCount = 300;
/** A control plane is killed each time that so many more hosts have become live, and all that were killed are back. */
const hostsBetweenKills = 12;

t.test(
  'three control planes, killed one after the other: every host live, at most one order more than needed for each kill',
  async (t) => {
    const { fleet, pebble, upstream } = await startPebbleFleet(t, { dir: testFolder(t), controlPlanes: 3 });
    const { controlPlanes } = fleet;
    const hosts = Array.from({ length: hostCount }, (_, index) => `shop-${index}.example.com`);
    const at = () => controlPlanes[randomInt(controlPlanes.length)]!.url;
    let kills = 0;
    let live = 0;

    async function countLive(): Promise<void> {
      const { body } = await fleet.call('GET', '/v1/routes?limit=1000', undefined, {}, at());
      const states = body.items.map(({ status }: { status: { state: string } }) => status.state);
      live = states.filter((state: string) => state === 'live').length;
    }

    async function post(): Promise<void> {
      for (const [index, host] of hosts.entries()) {
        const body = { hosts: [host], upstreams: [{ url: upstream.url }] };
        await waitFor(
          async () => (await fleet.call('PUT', `/v1/routes/r${index}`, body, {}, at())).status < 300,
          { what: `a control plane that takes ${host}` },
        );
      }
    }

    async function killUntilAllLive(): Promise<void> {
      while (live < hostCount) {
        const before = live;
        await waitFor(
          async () => {
            await countLive();
            return live === hostCount || live >= before + hostsBetweenKills;
          },
          { what: 'more hosts to be live', progress: () => live },
        );
        if (live === hostCount) return;
        const victim = controlPlanes[randomInt(controlPlanes.length)]!;
        await victim.process.signal('SIGKILL');
        kills += 1;
        await victim.start();
      }
    }

    await Promise.all([post(), killUntilAllLive()]);

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
