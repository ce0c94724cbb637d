import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startDnsServer } from '@lockstep/testkit';
import { seedFailingHosts } from '../fleet/seed-failing-hosts.ts';
import { startPebbleFleet } from '../fleet/start-pebble-fleet.ts';
import { cpuSecondsOf, readProcessTree } from './process-tree.ts';
import { median, print, printTable, quantilesOf, round, writeJson } from './report.ts';

const usage = `How long a good host takes to be live, alone and while so many hosts that cannot validate are tried again.

  node test/bench/starvation.ts [--failing 1500] [--posts 30] [--control-planes 1] [--json FILE]`;

const { values: flags } = parseArgs({
  options: {
    failing: { type: 'string', default: '1500' },
    posts: { type: 'string', default: '30' },
    'control-planes': { type: 'string', default: '1' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) print(usage);
else await run();

async function run(): Promise<void> {
  const failing = Number(flags.failing);
  const posts = Number(flags.posts);
  const closers: (() => unknown)[] = [];
  const teardown = (closer: () => unknown) => void closers.unshift(closer);
  try {
    const dir = mkdtempSync(join(tmpdir(), 'lockstep-starvation-'));
    teardown(() => rmSync(dir, { recursive: true, force: true }));
    // Nobody listens on 127.0.0.2: a CA that asks there gets no answer.
    const dns = await startDnsServer({
      zones: [
        { name: 'good.test', records: ['* A 127.0.0.1'] },
        { name: 'bad.test', records: ['* A 127.0.0.2'] },
      ],
    });
    teardown(() => dns.close());
    const controlPlanes = Number(flags['control-planes']);
    const { fleet, pebble, upstream } = await startPebbleFleet(
      { teardown },
      { dir, dnsServer: dns.address, controlPlanes },
    );

    async function measure(name: string): Promise<number[]> {
      const times: number[] = [];
      for (let post = 0; post < posts; post += 1) {
        const from = performance.now();
        const { body } = await fleet.post(`${name}-${post}.good.test`, upstream.url);
        if (body.status.state !== 'live') throw new Error(`${name}-${post} is ${body.status.state}`);
        times.push(performance.now() - from);
      }
      return times;
    }
    const cpu = () =>
      fleet.controlPlanes.reduce((sum, { process }) => sum + cpuSecondsOf(readProcessTree(process.pid)), 0);

    await measure('warm-up');
    const alone = await measure('alone');
    const { LOCKSTEP_STORE: url, LOCKSTEP_STORE_PREFIX: prefix } = fleet.env;
    const hosts = Array.from({ length: failing }, (_, index) => `host-${index}.bad.test`);
    await seedFailingHosts({ url, prefix }, hosts, upstream.url);
    const [ordersBefore, cpuBefore, from] = [pebble.orderCount(), cpu(), performance.now()];
    const among = await measure('among');
    const seconds = (performance.now() - from) / 1_000;
    const orders = pebble.orderCount() - ordersBefore - posts;

    const ratio = round(median(among) / median(alone));
    printTable(
      ['', 'p50 ms', 'p99 ms', 'max ms'],
      [
        ['alone', quantilesOf(alone)],
        [`among ${failing} that fail`, quantilesOf(among)],
      ].map(([name, q]) => {
        const { p50, p99, max } = q as ReturnType<typeof quantilesOf>;
        return [name as string, p50, p99, max];
      }),
    );
    print(`ratio of the medians: ${ratio}`);
    print(
      `meanwhile: ${orders} retries in ${round(seconds)} s, ${round(((cpu() - cpuBefore) * 100) / seconds)} % of a core for ${controlPlanes} control plane(s)`,
    );
    writeJson(
      'starvation',
      { failing, alone: quantilesOf(alone), among: quantilesOf(among), ratio },
      flags.json,
    );
  } finally {
    for (const closer of closers) await closer();
  }
}
