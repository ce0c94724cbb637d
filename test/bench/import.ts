import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startDnsServer } from '@lockstep/testkit';
import { startFleet } from '../fleet/start-fleet.ts';
import { startPebbleFleet } from '../fleet/start-pebble-fleet.ts';
import { measureImport, type Target } from './import-load.ts';
import { loadStore } from './load-store.ts';
import { print, printTable, round, writeJson } from './report.ts';
import { startUp } from './start-up.ts';
import { startUpstream } from './start-upstream.ts';

const usage = `What everybody else notices while so many routes are imported: a customer's POST that waits, a change, a health check.

  node test/bench/import.ts [--fleet up|redis|pebble] [--posts 2000] [--at-once 100] [--bulk] [--alone 10] [--limit-seconds 300]
                            [--json FILE]

  up      lockstep up: the embedded store, two edges, the internal CA (the default)
  redis   two control planes and two edges over Redis, the internal CA
  pebble  the same with one control plane, and Pebble as the CA; --posts 300 is plenty
  --bulk  in one request of so many lines, not in so many POSTs`;

const { values: flags } = parseArgs({
  options: {
    fleet: { type: 'string', default: 'up' },
    posts: { type: 'string', default: '2000' },
    'at-once': { type: 'string', default: '100' },
    bulk: { type: 'boolean', default: false },
    alone: { type: 'string', default: '10' },
    'limit-seconds': { type: 'string', default: '300' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) print(usage);
else await run();

async function run(): Promise<void> {
  const closers: (() => unknown)[] = [];
  const teardown = (closer: () => unknown) => void closers.unshift(closer);
  try {
    const dir = mkdtempSync(join(tmpdir(), 'lockstep-import-'));
    teardown(() => rmSync(dir, { recursive: true, force: true }));
    const target = await startTarget(flags.fleet, dir, teardown);
    const loadBefore = loadavg()[0]!;
    const figures = await measureImport(target, {
      posts: Number(flags.posts),
      atOnce: Number(flags['at-once']),
      alone: Number(flags.alone),
      bulk: flags.bulk,
      limitMs: Number(flags['limit-seconds']) * 1_000,
    });
    printTable(
      ['ms', 'n', 'p50', 'p99', 'max'],
      Object.entries(figures.quantiles).map(([name, { n, p50, p99, max }]) => [name, n, p50, p99, max]),
    );
    print(
      `${flags.posts} POSTs answered in ${figures.answeredSeconds} s, live in ${figures.liveSeconds} s; ${figures.refused} answered 503; failed: ${figures.failed}`,
    );
    print(`load average ${round(loadBefore)} before, ${round(loadavg()[0]!)} after`);
    writeJson('import', { fleet: flags.fleet, ...figures, loadBefore, loadAfter: loadavg()[0] }, flags.json);
  } finally {
    for (const closer of closers) await closer();
  }
}

async function startTarget(
  kind: string,
  dir: string,
  teardown: (closer: () => unknown) => void,
): Promise<Target> {
  const upstream = await startUpstream(dir, 64);
  teardown(() => upstream.stop());
  if (kind === 'up') {
    const folder = await loadStore({ path: join(dir, 'up'), routes: 0, upstreamUrl: upstream.url });
    const up = await startUp({
      dataDir: folder.path,
      token: folder.token,
      edges: 2,
      logFile: join(dir, 'up.log'),
    });
    teardown(() => up.stop());
    const ca = folder.authority.certificate;
    return { urls: [up.apiUrl], token: folder.token, httpsPorts: up.httpsPorts, ca, upstream, zone: 'test' };
  }
  if (kind === 'redis') {
    const fleet = await startFleet({ teardown }, { dir, controlPlanes: 2 });
    return targetOf(fleet, await fleet.internalRoot(), upstream, 'test');
  }
  if (kind !== 'pebble') throw new Error(`there is no fleet "${kind}"; see --help`);
  const dns = await startDnsServer({ zones: [{ name: 'good.test', records: ['* A 127.0.0.1'] }] });
  teardown(() => dns.close());
  const { fleet, pebble } = await startPebbleFleet({ teardown }, { dir, dnsServer: dns.address });
  return targetOf(fleet, await pebble.issuingRoots(), upstream, 'good.test');
}

function targetOf(
  fleet: Awaited<ReturnType<typeof startFleet>>,
  ca: string,
  upstream: Target['upstream'],
  zone: string,
): Target {
  return {
    urls: fleet.controlPlanes.map(({ url }) => url),
    token: fleet.env.LOCKSTEP_ADMIN_TOKEN,
    httpsPorts: fleet.edges.map(({ https }) => https),
    ca,
    upstream,
    zone,
  };
}
