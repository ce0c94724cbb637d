import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { waitFor } from '@lockstep/testkit';
import { getBody } from './add-route-lockstep.ts';
import { freePorts } from './free-ports.ts';
import { bulkHost, type DataFolder, loadStore } from './load-store.ts';
import { caddy } from './peers/caddy.ts';
import { haproxy } from './peers/haproxy.ts';
import { startLockstepEdge } from './peers/lockstep.ts';
import { nginx } from './peers/nginx.ts';
import { findVersion } from './peers/peer.ts';
import { cpuSecondsOf, readProcessTree } from './process-tree.ts';
import { median, print, printTable, round, writeJson } from './report.ts';
import { runWrk } from './run-wrk.ts';
import { startUpstream, type Upstream } from './start-upstream.ts';

const usage = `HTTPS requests a second through one worker (HTTP/1.1, kept alive, P-256), beside HAProxy, nginx and Caddy where they
are on PATH, each limited to one thread. Rounds are interleaved; the figures are medians.

  node test/bench/proxy.ts [--rounds 5] [--seconds 3] [--connections 32] [--bytes 1024] [--before FOLDER] [--json FILE]

  --before  a checkout of another revision, installed, to be measured beside this one`;

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    bytes: { type: 'string', default: '1024' },
    before: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

interface Contender {
  name: string;
  version: string;
  port: number;
  pid: number;
  /** Whom its clients trust. */
  certificate: string;
  stop(): Promise<void>;
}

interface Round {
  requestsPerSecond: number;
  cpuMicroseconds: number;
  p50: number;
  p99: number;
  errors: number;
}

/** Not counted: a compiler at run time needs some thousand requests before it is done. */
const warmUpSeconds = 4;
const host = bulkHost(0);
if (flags.help) print(usage);
else if (findVersion('wrk') === null) {
  print('This benchmark needs wrk on PATH (Debian: the package wrk).');
  process.exitCode = 1;
} else await run();

async function run(): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), 'lockstep-proxy-'));
  process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
  const upstream = await startUpstream(temporary, Number(flags.bytes));
  const contenders: Contender[] = [];
  const rounds = new Map<string, Round[]>();
  try {
    const folder = await loadStore({
      path: join(temporary, 'lockstep'),
      routes: 1,
      upstreamUrl: upstream.url,
    });
    contenders.push(...(await startAll(temporary, folder, upstream)));
    for (const contender of contenders) {
      rounds.set(contender.name, []);
      await getBody(contender.port, host, contender.certificate, upstream);
      await measure(temporary, contender, warmUpSeconds);
    }
    for (let number = 1; number <= Number(flags.rounds); number += 1) {
      for (const contender of contenders) {
        rounds.get(contender.name)!.push(await measure(temporary, contender, Number(flags.seconds)));
      }
      print(`round ${number} of ${flags.rounds} done`);
    }
  } finally {
    for (const { stop } of contenders) await stop();
    await upstream.stop();
  }

  const figures = contenders.map(({ name, version }) => summarise(name, version, rounds.get(name)!));
  const base = figures.find(({ name }) => name === haproxy.name) ?? figures.toSorted(byCpu)[0]!;
  const results = figures.toSorted(byCpu).map((row) => ({
    ...row,
    perCore: Math.round(1e6 / row.cpuMicroseconds),
    ratio: round(row.requestsPerSecond / base.requestsPerSecond),
    ratioPerCore: round(base.cpuMicroseconds / row.cpuMicroseconds),
  }));
  print(
    `\nHTTPS through one worker, ${flags.bytes} bytes, ${flags.connections} connections; ratios to ${base.name}`,
  );
  printTable(
    ['proxy', 'requests/s', 'ratio', 'CPU a request', 'requests/s per core', 'ratio', 'p50', 'p99', 'errors'],
    results.map((row) => [
      `${row.name} ${row.version}`,
      Math.round(row.requestsPerSecond),
      row.ratio.toFixed(2),
      `${row.cpuMicroseconds} µs`,
      row.perCore,
      row.ratioPerCore.toFixed(2),
      `${row.p50} ms`,
      `${row.p99} ms`,
      row.errors,
    ]),
  );
  const settings = {
    rounds: Number(flags.rounds),
    seconds: Number(flags.seconds),
    connections: Number(flags.connections),
    bytes: Number(flags.bytes),
    upstream: upstream.kind,
  };
  writeJson('proxy', { ...settings, base: base.name, results }, flags.json);
}

async function startAll(temporary: string, folder: DataFolder, upstream: Upstream): Promise<Contender[]> {
  const pemFile = join(temporary, 'certificate.pem');
  writeFileSync(pemFile, folder.keyPem + folder.chain, { mode: 0o600 });
  const { certificate } = folder.authority;
  const edge = await startLockstepEdge(folder, join(temporary, 'lockstep.log'));
  const contenders: Contender[] = [
    { name: 'Lockstep', version: `on Node ${process.versions.node}`, certificate, ...edge },
  ];
  if (flags.before !== undefined) contenders.push(await startBefore(flags.before, temporary, upstream));
  for (const peer of [haproxy, nginx, caddy]) {
    const version = findVersion(peer.name.toLowerCase());
    if (version === null) {
      print(`${peer.name} is not on PATH: left out`);
      continue;
    }
    const port = await freePorts(1);
    const peerFolder = join(temporary, peer.name);
    mkdirSync(peerFolder);
    const started = await peer.start({
      folder: peerFolder,
      port,
      host,
      upstreamPort: upstream.port,
      pemFile,
    });
    contenders.push({ name: peer.name, version, port, pid: started.pid, certificate, stop: started.stop });
    await waitFor(
      () => {
        started.check();
        return getBody(port, host, certificate, upstream).then(() => true);
      },
      { what: `${peer.name} to serve` },
    );
  }
  return contenders;
}

/** Everything is that revision's own, its store and its certificates included. */
async function startBefore(checkout: string, temporary: string, upstream: Upstream): Promise<Contender> {
  const importFrom = (file: string) => import(join(resolve(checkout), 'test/bench', file));
  const store: typeof import('./load-store.ts') = await importFrom('load-store.ts');
  const lockstep: typeof import('./peers/lockstep.ts') = await importFrom('peers/lockstep.ts');
  const folder = await store.loadStore({
    path: join(temporary, 'before'),
    routes: 1,
    upstreamUrl: upstream.url,
  });
  const edge = await lockstep.startLockstepEdge(folder, join(temporary, 'before.log'));
  return { name: 'Lockstep before', version: checkout, certificate: folder.authority.certificate, ...edge };
}

async function measure(folder: string, { port, pid }: Contender, seconds: number): Promise<Round> {
  const before = cpuSecondsOf(readProcessTree(pid));
  const connections = Number(flags.connections);
  const { requests, requestsPerSecond, p50, p99, errors } = await runWrk({
    folder,
    port,
    host,
    connections,
    seconds,
  });
  const cpuMicroseconds = ((cpuSecondsOf(readProcessTree(pid)) - before) / requests) * 1e6;
  return { requestsPerSecond, cpuMicroseconds, p50, p99, errors };
}

function summarise(name: string, version: string, rounds: Round[]) {
  const middle = (key: keyof Round) => median(rounds.map((figures) => figures[key]));
  return {
    name,
    version,
    requestsPerSecond: middle('requestsPerSecond'),
    cpuMicroseconds: middle('cpuMicroseconds'),
    p50: middle('p50'),
    p99: middle('p99'),
    errors: rounds.reduce((sum, { errors }) => sum + errors, 0),
    rounds,
  };
}

function byCpu(a: { cpuMicroseconds: number }, b: { cpuMicroseconds: number }): number {
  return a.cpuMicroseconds - b.cpuMicroseconds;
}
