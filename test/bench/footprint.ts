import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { deriveEdgeKey, generateSecretKey } from '@lockstep/pki';
import { startRedis, waitFor } from '@lockstep/testkit';
import { getBody } from './add-route-lockstep.ts';
import { freePorts } from './free-ports.ts';
import { findVersion } from './peers/peer.ts';
import { cpuSecondsOfEnded, type ProcessFigures, readProcessTree } from './process-tree.ts';
import { median, print, printTable, round, writeJson } from './report.ts';
import { runWrk } from './run-wrk.ts';
import { isReady, startEdge } from './start-edge.ts';
import { startProcess } from './start-process.ts';
import { startLockstep } from './start-up.ts';
import { startUpstream, type Upstream } from './start-upstream.ts';

const usage = `What processes cost: CPU seconds until \`lockstep --help\` has ended, a control plane has answered /healthz and an edge /readyz;
the memory of an edge with one route and one worker, idle, and a good minute after a load where wrk is on PATH. A bare Node for comparison.
The first round fills the cache of what Node compiled; the figures are medians of the others.

  node test/bench/footprint.ts [--rounds 5] [--seconds 10] [--connections 64] [--bytes 1024] [--json FILE]`;

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '10' },
    connections: { type: 'string', default: '64' },
    bytes: { type: 'string', default: '1024' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const host = 'footprint.example.com';
const command = fileURLToPath(new URL('../../apps/cli/bin/lockstep', import.meta.url));
/** A garbage collection that is due after a start comes by then. */
const idleMs = 5_000;
/** And the one after a load, once the process has been quiet for a minute. */
const afterLoadMs = 70_000;
const pollMs = 5;

interface Round {
  bareCpu: number;
  helpCpu: number;
  controlPlaneCpu: number;
  supervisorCpu: number;
  workerCpu: number;
  controlPlaneMb: number;
  supervisorMb: number;
  workerMb: number;
  loadedSupervisorMb: number;
  loadedWorkerMb: number;
  requestsPerSecond: number;
}

if (flags.help) print(usage);
else await run();

async function run(): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), 'lockstep-footprint-'));
  process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
  const upstream = await startUpstream(temporary, Number(flags.bytes));
  const rounds: Round[] = [];
  try {
    for (let number = 0; number <= Number(flags.rounds); number += 1) {
      const figures = await measure(mkdtempSync(join(temporary, 'round-')), upstream);
      if (number > 0) rounds.push(figures);
      print(`round ${number} of ${flags.rounds} done`);
    }
  } finally {
    await upstream.stop();
  }
  const middle = (key: keyof Round) => round(median(rounds.map((figures) => figures[key])));
  print('\nCPU seconds to the first answer, and resident memory in MB');
  printTable(
    ['process', 'CPU', 'idle', 'after a load'],
    [
      ['a bare Node', middle('bareCpu'), '', ''],
      ['lockstep --help', middle('helpCpu'), '', ''],
      ['control plane', middle('controlPlaneCpu'), middle('controlPlaneMb'), ''],
      ['edge, supervisor', middle('supervisorCpu'), middle('supervisorMb'), middle('loadedSupervisorMb')],
      ['edge, worker', middle('workerCpu'), middle('workerMb'), middle('loadedWorkerMb')],
    ],
  );
  print(`requests/s under the load: ${middle('requestsPerSecond')}`);
  writeJson('footprint', { bytes: Number(flags.bytes), rounds }, flags.json);
}

async function measure(folder: string, upstream: Upstream): Promise<Round> {
  const redis = await startRedis();
  try {
    const bareCpu = await cpuSecondsToEnd(process.execPath, ['-e', '0'], folder);
    const helpCpu = await cpuSecondsToEnd(command, ['--help'], folder);
    const secretKey = generateSecretKey();
    const token = 'a token of the benchmark'.replaceAll(' ', '-');
    const apiUrl = `http://127.0.0.1:${await freePorts(1)}`;
    const controlPlane = await startLockstep(
      ['control-plane', '--listen', new URL(apiUrl).host, '--log-level', 'warn'],
      join(folder, 'control-plane.log'),
      {
        LOCKSTEP_STORE: redis.url,
        LOCKSTEP_DATA_DIR: join(folder, 'control-plane'),
        LOCKSTEP_SECRET_KEY: secretKey,
        LOCKSTEP_ADMIN_TOKEN: token,
      },
    );
    try {
      await waitFor(
        () => {
          controlPlane.check();
          return fetch(`${apiUrl}/healthz`).then(({ ok }) => ok);
        },
        { what: 'the control plane to answer', intervalMs: pollMs },
      );
      const controlPlaneCpu = readProcessTree(controlPlane.pid)[0]!.cpuSeconds;
      const edge = await startEdge({
        node: 'edge-1',
        dataDir: join(folder, 'edge-1'),
        edgeKey: deriveEdgeKey(secretKey),
        storeUrl: redis.url,
        logFile: join(folder, 'edge-1.log'),
      });
      try {
        await waitFor(() => isReady(edge), { what: 'the edge to be ready', intervalMs: pollMs });
        const started = supervisorAndWorker(edge.pid);
        await putRoute(apiUrl, token, upstream.url);
        const ca = readFileSync(join(folder, 'control-plane', 'ca', 'root.crt'), 'utf8');
        await getBody(edge.httpsPort, host, ca, upstream);
        await delay(idleMs);
        const controlPlaneMb = megabytes(readProcessTree(controlPlane.pid)[0]!);
        const idle = supervisorAndWorker(edge.pid);
        const requestsPerSecond = await load(folder, edge.httpsPort);
        await delay(afterLoadMs);
        const loaded = supervisorAndWorker(edge.pid);
        return {
          bareCpu,
          helpCpu,
          controlPlaneCpu,
          supervisorCpu: started[0].cpuSeconds,
          workerCpu: started[1].cpuSeconds,
          controlPlaneMb,
          supervisorMb: megabytes(idle[0]),
          workerMb: megabytes(idle[1]),
          loadedSupervisorMb: megabytes(loaded[0]),
          loadedWorkerMb: megabytes(loaded[1]),
          requestsPerSecond,
        };
      } finally {
        await edge.stop();
      }
    } finally {
      await controlPlane.stop();
    }
  } finally {
    await redis.close();
  }
}

async function cpuSecondsToEnd(program: string, args: string[], folder: string): Promise<number> {
  const before = cpuSecondsOfEnded();
  const { exited } = await startProcess({ command: program, args, logFile: join(folder, 'ended.log') });
  await exited;
  return cpuSecondsOfEnded() - before;
}

async function putRoute(apiUrl: string, token: string, upstreamUrl: string): Promise<void> {
  const response = await fetch(`${apiUrl}/v1/routes/footprint`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      prefer: 'wait=60',
    },
    body: JSON.stringify({ hosts: [host], upstreams: [{ url: upstreamUrl }] }),
  });
  if (!response.ok) throw new Error(`PUT was answered ${response.status}: ${await response.text()}`);
}

async function load(folder: string, port: number): Promise<number> {
  if (findVersion('wrk') === null) return Number.NaN;
  const { connections, seconds } = flags;
  const figures = await runWrk({
    folder,
    port,
    host,
    connections: Number(connections),
    seconds: Number(seconds),
  });
  return figures.requestsPerSecond;
}

function supervisorAndWorker(pid: number): [ProcessFigures, ProcessFigures] {
  const [supervisor, worker] = readProcessTree(pid);
  if (supervisor === undefined || worker === undefined) throw new Error('the edge has no worker');
  return [supervisor, worker];
}

function megabytes({ rssBytes }: ProcessFigures): number {
  return rssBytes / 1e6;
}
