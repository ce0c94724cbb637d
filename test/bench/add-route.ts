import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type CaddyFigures, measureCaddy } from './add-route-caddy.ts';
import { type LockstepFigures, measureLockstep } from './add-route-lockstep.ts';
import { type DiskStartFigures, measureDiskStart } from './edge-disk-start.ts';
import { type DataFolder, loadStore } from './load-store.ts';
import { findVersion } from './peers/peer.ts';
import { print, printTable, type Quantiles, writeJson } from './report.ts';
import { startUpstream } from './start-upstream.ts';

const usage = `How long one more route takes, with so many there already, on one machine over loopback.

  node test/bench/add-route.ts [--sizes 10,1000,10000,100000] [--posts 30] [--edges 2]
                               [--caddy-sizes 10,1000,10000] [--caddy-seconds 60] [--json FILE]`;

const { values: flags } = parseArgs({
  options: {
    sizes: { type: 'string', default: '10,1000,10000,100000' },
    posts: { type: 'string', default: '30' },
    edges: { type: 'string', default: '2' },
    'caddy-sizes': { type: 'string', default: '10,1000,10000' },
    'caddy-seconds': { type: 'string', default: '60' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) print(usage);
else await run();

async function run(): Promise<void> {
  const sizes = listOf(flags.sizes);
  const caddyVersion = findVersion('caddy');
  const caddySizes = caddyVersion === null ? [] : listOf(flags['caddy-sizes']);
  const posts = Number(flags.posts);
  const edges = Number(flags.edges);
  const temporary = mkdtempSync(join(tmpdir(), 'lockstep-add-route-'));
  process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
  const upstream = await startUpstream(temporary, 1_024);
  const lockstep: LockstepFigures[] = [];
  const diskStarts: DiskStartFigures[] = [];
  const caddy: CaddyFigures[] = [];
  try {
    for (const routes of [...new Set([...sizes, ...caddySizes])].sort((a, b) => a - b)) {
      const folder = await load(temporary, routes, upstream.url);
      if (sizes.includes(routes)) {
        lockstep.push(await measureLockstep({ folder, routes, posts, edges, upstream }));
        if (routes === Math.max(...sizes)) {
          diskStarts.push(await measureDiskStart({ folder, node: 'edge-1', hosts: routes, upstream }));
        }
      }
      if (caddySizes.includes(routes)) {
        const budgetMs = Number(flags['caddy-seconds']) * 1_000;
        caddy.push(await measureCaddy({ folder, routes, posts, budgetMs, upstream }));
      }
      rmSync(folder.path, { recursive: true });
    }
  } finally {
    await upstream.stop();
  }

  print(`\nLockstep, ${edges} edges of one worker, ms from the POST (p50 / p99)`);
  printTable(
    ['routes', '201', '201 live', 'served by all edges', 'live, yet not served', 'first start', 'its CPU'],
    lockstep.map((row) => [
      row.routes,
      shown(row.answeredMs),
      shown(row.liveMs),
      shown(row.servedMs),
      row.notServedThoughLive,
      `${(row.firstStartMs / 1_000).toFixed(1)} s`,
      `${row.firstStartCpuSeconds} s`,
    ]),
  );
  print('\nAn edge started from its disk, its store not reachable');
  printTable(
    ['hosts', 'ready', 'served', 'CPU', 'memory (supervisor + worker)'],
    diskStarts.map(({ hosts, readyMs, servedMs, cpuSeconds, rssMegabytes }) => [
      hosts,
      `${readyMs} ms`,
      `${servedMs} ms`,
      `${cpuSeconds} s`,
      `${rssMegabytes.join(' + ')} MB`,
    ]),
  );
  if (caddyVersion === null) print('\nCaddy is not on PATH: nothing to compare with.');
  else if (caddy.length > 0) {
    print(
      `\nCaddy ${caddyVersion}, one node, internal issuer, ms from the POST to its admin API (p50 / p99)`,
    );
    printTable(
      ['routes', '200', 'served', 'POSTs'],
      caddy.map((row) => [row.routes, shown(row.answeredMs), shown(row.servedMs), row.servedMs.n]),
    );
  }
  writeJson(
    'add-route',
    { edges, posts, upstream: upstream.kind, lockstep, diskStarts, caddyVersion, caddy },
    flags.json,
  );
}

async function load(temporary: string, routes: number, upstreamUrl: string): Promise<DataFolder> {
  const begunAt = performance.now();
  const folder = await loadStore({ path: join(temporary, String(routes)), routes, upstreamUrl });
  print(`${routes} routes loaded in ${((performance.now() - begunAt) / 1_000).toFixed(1)} s`);
  return folder;
}

function shown({ p50, p99 }: Quantiles): string {
  return `${p50} / ${p99}`;
}

function listOf(input: string): number[] {
  return input === '' ? [] : input.split(',').map(Number);
}
