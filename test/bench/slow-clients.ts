import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bulkHost, loadStore } from './load-store.ts';
import { readProcessTree } from './process-tree.ts';
import { print, printTable, type Quantiles, quantilesOf, writeJson } from './report.ts';
import type { Crowd, CrowdFigures, CrowdOptions } from './slow-crowd.ts';
import { startUp } from './start-up.ts';
import { startUpstream } from './start-upstream.ts';

const crowds: readonly Crowd[] = [
  'heads',
  'bodies',
  'readers',
  'h2 heads',
  'h2 bodies',
  'h2 readers',
  'bombs',
  'resets',
];

const usage = `What slow clients cost another one: a crowd whose heads and bodies drip, that does not read, or that attacks (HPACK bombs at a
window of zero, rapid resets), over HTTP/1.1 and HTTP/2, while one client asks as it did before. Ends with 1 where that one's p99 is more
than doubled beside the crowd, memory does not come back within 1.3 times, or a descriptor is left. What a crowd costs while it comes, which is
its handshakes above all, is told apart from what it costs while it is there.

  --arrival  in how many seconds it comes
  --calm     how long after the crowd is gone memory is looked at: a worker collects garbage once it has been quiet

  node test/bench/slow-clients.ts [--clients 2000] [--seconds 120] [--arrival 20] [--calm 75] [--crowds heads,bodies,…] [--json FILE]`;

const { values: flags } = parseArgs({
  options: {
    clients: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '120' },
    arrival: { type: 'string', default: '20' },
    calm: { type: 'string', default: '75' },
    crowds: { type: 'string', default: crowds.join(',') },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const [host, slowHost] = [bulkHost(0), 'slow.bulk.example.com'];
const aloneSeconds = 15;

if (flags.help) print(usage);
else await run();

async function run(): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const temporary = mkdtempSync(join(tmpdir(), 'lockstep-slow-'));
  process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
  const upstream = await startUpstream(temporary, 1_024);
  parts.defer(upstream.stop);
  const path = join(temporary, 'lockstep');
  const folder = await loadStore({ path, routes: 1, upstreamUrl: upstream.url });
  const up = await startUp({
    dataDir: path,
    token: folder.token,
    edges: 1,
    logFile: join(temporary, 'up.log'),
  });
  parts.defer(up.stop);
  const ca = folder.authority.certificate;
  const port = up.httpsPorts[0]!;
  const probe = { port, host, ca };

  const named = flags.crowds.split(',').map((name) => crowds.find((crowd) => crowd === name.trim())!);
  const arrival = Number(flags.arrival);
  const each = Math.ceil(Number(flags.clients) / named.length);
  const crowd = await Promise.all(
    named.map((name) =>
      forkCrowd({ port, host: slowHost, ca, crowd: name, clients: each, arrivalMs: arrival * 1_000 }),
    ),
  );
  for (const { stop } of crowd) parts.defer(async () => void (await stop()));
  await up.call('POST', '/v1/certificates', { chain: folder.chain, key: folder.keyPem });
  await up.call(
    'PUT',
    '/v1/routes/slow',
    {
      hosts: [slowHost],
      upstreams: crowd.map(({ upstreamPort }) => ({ url: `http://127.0.0.1:${upstreamPort}` })),
    },
    { prefer: 'wait=30' },
  );

  const phase = async (seconds: number): Promise<Asked> => {
    const from = look(up.pid);
    const asked = await ask(probe, seconds);
    const to = look(up.pid);
    return {
      ...asked,
      cpu: (to.cpuSeconds - from.cpuSeconds) / seconds,
      waited: (to.waitedSeconds - from.waitedSeconds) / seconds,
    };
  };

  await ask(probe, 5);
  const alone = await phase(aloneSeconds);
  const before = look(up.pid);
  for (const { start } of crowd) start();
  const coming = await phase(arrival);
  const beside = await phase(Number(flags.seconds));
  const during = look(up.pid);
  const tcpPages = tcpMemory();
  const figures = await Promise.all(crowd.map(({ stop }) => stop()));
  const behind = await phase(aloneSeconds);
  await delay(Number(flags.calm) * 1_000);
  const after = look(up.pid);

  printTable(
    [
      'the other client',
      'requests',
      'failed',
      'p50',
      'p99',
      'max',
      'CPU of the worker',
      'it waited for a core',
    ],
    [
      rowOf('alone', alone),
      rowOf('while the crowd comes', coming),
      rowOf('beside the crowd', beside),
      rowOf('once it is gone', behind),
    ],
  );
  printTable(
    ['the worker', 'memory', 'descriptors'],
    Object.entries({ before, during, after }).map(([when, { bytes, descriptors }]) => [
      when,
      `${Math.round(bytes / 1_048_576)} MB`,
      descriptors,
    ]),
  );
  print(
    `TCP memory of the machine beside the crowd: ${tcpPages.used} pages; from ${tcpPages.pressure} on it slows down everybody.`,
  );
  printTable(
    ['crowd', 'connections', 'ended by the edge'],
    named.map((name, index) => [name, figures[index]!.made, figures[index]!.ended]),
  );
  writeJson('slow-clients', { alone, coming, beside, behind, before, during, after }, flags.json);
  const failed =
    coming.failed + beside.failed + behind.failed > 0 ||
    beside.ms.p99 > 2 * alone.ms.p99 ||
    after.bytes > 1.3 * before.bytes ||
    after.descriptors > before.descriptors;
  if (failed) process.exitCode = 1;
}

interface Asked {
  ms: Quantiles;
  failed: number;
  /** Cores. */
  cpu: number;
  /** The part of the time that it was ready and had no core: on a busy machine that is what others wait for. */
  waited: number;
}

/** One client over a kept connection, fifty times a second. */
async function ask(
  { port, host, ca }: { port: number; host: string; ca: string },
  seconds: number,
): Promise<Omit<Asked, 'cpu' | 'waited'>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const all: number[] = [];
  let failed = 0;
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    const begunAt = performance.now();
    try {
      const sent = request({ host: '127.0.0.1', port, servername: host, ca, agent, headers: { host } }).end();
      const [response] = await once(sent, 'response');
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      for await (const _ of response);
      all.push(performance.now() - begunAt);
    } catch {
      failed += 1;
    }
    await delay(20);
  }
  agent.destroy();
  return { ms: quantilesOf(all), failed };
}

interface Look {
  cpuSeconds: number;
  waitedSeconds: number;
  bytes: number;
  descriptors: number;
}

/** The worker that serves: below the control plane and the edge's supervisor. */
function look(root: number): Look {
  const worker = readProcessTree(root).at(-1)!;
  const schedule = readFileSync(`/proc/${worker.pid}/schedstat`, 'latin1');
  return {
    cpuSeconds: worker.cpuSeconds,
    waitedSeconds: Number(schedule.split(' ')[1]) / 1e9,
    bytes: worker.rssBytes,
    descriptors: readdirSync(`/proc/${worker.pid}/fd`).length,
  };
}

function tcpMemory(): { used: number; pressure: number } {
  const used = /^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'latin1'))?.[1];
  const [, pressure] = readFileSync('/proc/sys/net/ipv4/tcp_mem', 'latin1').split(/\s+/);
  return { used: Number(used), pressure: Number(pressure) };
}

async function forkCrowd(options: CrowdOptions) {
  const entry = fileURLToPath(new URL('./slow-crowd.ts', import.meta.url));
  const child = fork(entry, [JSON.stringify(options)]);
  const [upstreamPort] = (await once(child, 'message')) as [number];
  let stopped: Promise<CrowdFigures> | null = null;
  return {
    upstreamPort,
    start: () => void child.send('start'),
    stop() {
      stopped ??= (async () => {
        child.send('stop');
        const [figures] = (await once(child, 'message')) as [CrowdFigures];
        return figures;
      })();
      return stopped;
    },
  };
}

function rowOf(what: string, { ms, failed, cpu, waited }: Asked): (string | number)[] {
  return [
    what,
    ms.n,
    failed,
    `${ms.p50} ms`,
    `${ms.p99} ms`,
    `${ms.max} ms`,
    `${Math.round(cpu * 100)} %`,
    `${Math.round(waited * 100)} %`,
  ];
}
