import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createAuthority } from '@lockstep/pki';
import { createRedisStore } from '@lockstep/store';
import { startFleet } from '../fleet/start-fleet.ts';
import { type BulkFigures, type BulkTarget, measureBulk } from './bulk-load.ts';
import { bulkHost, loadReady, loadStore } from './load-store.ts';
import { type ProcessFigures, readProcessTree } from './process-tree.ts';
import { print, printTable, round, writeJson } from './report.ts';
import { startUp } from './start-up.ts';

const usage = `A bulk of so many routes, whose certificates are there already, and how long a single POST takes alone and beside it.

  node test/bench/bulk.ts [--fleet up|redis] [--lines 100000] [--window-seconds 3] [--singles-every 100]
                          [--read at-once|slowly] [--keep]
                          [--root DIR] [--profile DIR] [--json FILE]

  up      lockstep up: the embedded store, two edges (the default)
  redis   two control planes and two edges over Redis
  --singles-every  ms between one single POST and the next
  --keep  does not delete them in bulk afterwards
  --root  another checkout, to compare with
  --profile  where CPU profiles of lockstep up are left`;

const { values: flags } = parseArgs({
  options: {
    fleet: { type: 'string', default: 'up' },
    lines: { type: 'string', default: '100000' },
    'window-seconds': { type: 'string', default: '3' },
    'singles-every': { type: 'string', default: '100' },
    read: { type: 'string', default: 'at-once' },
    keep: { type: 'boolean', default: false },
    root: { type: 'string' },
    profile: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const upstreams = [{ url: 'http://127.0.0.1:9' }];
if (flags.help) print(usage);
else await run();

async function run(): Promise<void> {
  const closers: (() => unknown)[] = [];
  const teardown = (closer: () => unknown) => void closers.unshift(closer);
  try {
    const dir = mkdtempSync(join(tmpdir(), 'lockstep-bulk-'));
    teardown(() => rmSync(dir, { recursive: true, force: true }));
    const lines = Number(flags.lines);
    const target = await startTarget(dir, lines, teardown);
    const common = {
      lines,
      windowMs: Number(flags['window-seconds']) * 1_000,
      single: (name: string) => ({ hosts: [`${name}.single-${name}.example`], upstreams }),
      singleEveryMs: Number(flags['singles-every']),
      readAnswers: flags.read === 'slowly' ? 'slowly' : 'at once',
    } as const;
    const idOf = (index: number) => `bulk-${index}`;
    const figures: Record<string, BulkFigures> = {};
    figures.put = await measureBulk(target, {
      ...common,
      path: '/v1/routes/bulk',
      lineOf: (index) => ({ id: idOf(index), hosts: [bulkHost(index)], upstreams }),
    });
    show('Lines that make routes', figures.put);
    if (!flags.keep) {
      figures.delete = await measureBulk(target, {
        ...common,
        path: '/v1/routes/bulk-delete',
        lineOf: (index) => ({ id: idOf(index) }),
      });
      show('Lines that delete them', figures.delete);
    }
    print(`load average ${round(loadavg()[0]!)}`);
    writeJson('bulk', { fleet: flags.fleet, lines, ...figures, load: loadavg()[0] }, flags.json);
  } finally {
    for (const closer of closers) await closer();
  }
}

function show(title: string, figures: BulkFigures): void {
  const { controlPlanes, edges } = figures.cpuMicrosecondsPerLine;
  print(
    `\n${title}: ${figures.linesPerSecond} a second; ${controlPlanes} µs of control planes a line, ${edges} µs of edges`,
  );
  print(
    `answers: ${JSON.stringify(figures.statuses)}; in step ${figures.inStepMs.p50} ms after (at most ${figures.inStepMs.max})`,
  );
  printTable(
    ['single POST, ms (p50 / p99)', 'n', 'alone', 'meanwhile', 'ratio'],
    Object.entries(figures.singles).map(([name, { alone, meanwhile, ratio }]) => [
      name,
      `${alone.n}, ${meanwhile.n}`,
      `${alone.p50} / ${alone.p99}`,
      `${meanwhile.p50} / ${meanwhile.p99}`,
      `${ratio.p50} / ${ratio.p99}`,
    ]),
  );
  printTable(
    ['memory, MB', 'before', 'most', 'after'],
    Object.entries(figures.rssMegabytes).map(([name, { before, most, after }]) => [
      name,
      before,
      most,
      after,
    ]),
  );
}

async function startTarget(
  dir: string,
  lines: number,
  teardown: (closer: () => unknown) => void,
): Promise<BulkTarget> {
  if (flags.fleet === 'up') {
    const folder = await loadStore({ path: join(dir, 'up'), routes: 0, upstreamUrl: '', ready: lines });
    const up = await startUp({
      dataDir: folder.path,
      token: folder.token,
      edges: 2,
      logFile: join(dir, 'up.log'),
      root: flags.root,
      profileDir: flags.profile,
    });
    teardown(() => up.stop());
    return {
      urls: [up.apiUrl],
      token: folder.token,
      processes() {
        const [first, ...others] = readProcessTree(up.pid);
        const edges = others.filter(({ parent }) => parent === up.pid);
        return {
          'control plane': first === undefined ? [] : [first],
          ...Object.fromEntries(
            edges.map((edge, index): [string, ProcessFigures[]] => [
              `edge ${index + 1}`,
              readProcessTree(edge.pid),
            ]),
          ),
        };
      },
    };
  }
  if (flags.fleet !== 'redis') throw new Error(`there is no fleet "${flags.fleet}"; see --help`);
  const root = flags.root;
  const fleet = await startFleet(
    { teardown },
    { dir, controlPlanes: 2, ...(root !== undefined && { controlPlaneRoot: root, edgeRoots: [root, root] }) },
  );
  const { LOCKSTEP_STORE: url, LOCKSTEP_STORE_PREFIX: prefix, LOCKSTEP_SECRET_KEY: key } = fleet.env;
  const store = createRedisStore({ url, prefix });
  await store.open({ create: false, expectedEpoch: null });
  await loadReady(store, key, await createAuthority(), lines);
  await store.close();
  return {
    urls: fleet.controlPlanes.map(({ url }) => url),
    token: fleet.env.LOCKSTEP_ADMIN_TOKEN,
    processes: () =>
      Object.fromEntries([
        ...fleet.controlPlanes.map(({ process }, index): [string, ProcessFigures[]] => [
          `control plane ${index + 1}`,
          readProcessTree(process.pid),
        ]),
        ...fleet.edges.map(({ process }, index): [string, ProcessFigures[]] => [
          `edge ${index + 1}`,
          readProcessTree(process.pid),
        ]),
      ]),
  };
}
