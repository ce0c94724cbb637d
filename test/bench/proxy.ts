import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { findTool } from './find-tool.ts';
import { bulkHost } from './load-store.ts';
import { findVersion } from './peers/peer.ts';
import { readProcessTree } from './process-tree.ts';
import { type ProxyCase, proxyCases } from './proxy-cases.ts';
import { type Contender, startContenders } from './proxy-contenders.ts';
import { print, printTable, round, writeJson } from './report.ts';
import { holdConnections } from './run-connects.ts';
import { startUpstream } from './start-upstream.ts';

const usage = `What a request costs in CPU, by seven cases, beside HAProxy, nginx and Caddy where they are on PATH (Caddy and h2load are fetched
from Debian where they are not). Rounds are interleaved, and the smallest of each counts: what else the machine does only adds to it.

  node test/bench/proxy.ts [--rounds 7] [--seconds 2] [--connections 32] [--bytes 1024] [--cases h1,h1-large,h2,h2-large,post,full,resumed]
                           [--hosts 10] [--workers 1] [--idle 500] [--peers haproxy,nginx,caddy] [--before FOLDER] [--json FILE]

  --hosts, --workers  lists: each is measured with each, as 10,100000 and 1,2
  --idle              so many connections are held open once, to see what each takes of memory; 0: not
  --before            a checkout of another revision, installed, to be measured beside this one`;

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '2' },
    connections: { type: 'string', default: '32' },
    bytes: { type: 'string', default: '1024' },
    cases: { type: 'string', default: '' },
    hosts: { type: 'string', default: '10' },
    workers: { type: 'string', default: '1' },
    idle: { type: 'string', default: '500' },
    peers: { type: 'string', default: 'haproxy,nginx,caddy' },
    before: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

interface Figures {
  /** Microseconds of CPU a request. */
  user: number;
  system: number;
  errors: number;
  requestsPerSecond: number;
}

interface Result extends Figures {
  case: string;
  contender: string;
  version: string;
  /** CPU of the base, through that of this one. */
  ratio: number;
}

/** Not counted: a compiler at run time needs some thousand requests before it is done. */
const warmUpSeconds = 3;
const settleMs = 2_000;
const numbers = (list: string) => list.split(',').map(Number);
const round1 = (value: number) => Math.round(value * 10) / 10;

if (flags.help) print(usage);
else if (findVersion('wrk') === null) {
  print('This benchmark needs wrk on PATH (Debian: the package wrk).');
  process.exitCode = 1;
} else await run();

async function run(): Promise<void> {
  const wanted = flags.cases.split(',').filter(Boolean);
  const cases = proxyCases(await findTool('h2load')).filter(
    ({ name }) => wanted.length === 0 || wanted.includes(name),
  );
  const settings = [];
  for (const hosts of numbers(flags.hosts)) {
    for (const workers of numbers(flags.workers)) {
      settings.push({ hosts, workers, ...(await measureSetting(hosts, workers, cases)) });
    }
  }
  const { rounds, seconds, connections, bytes } = flags;
  writeJson('proxy', { rounds, seconds, connections, bytes, settings }, flags.json);
}

async function measureSetting(hosts: number, workers: number, cases: ProxyCase[]) {
  const temporary = mkdtempSync(join(tmpdir(), 'lockstep-proxy-'));
  const remove = () => rmSync(temporary, { recursive: true, force: true });
  process.on('exit', remove);
  const upstream = await startUpstream(temporary, Number(flags.bytes));
  const contenders: Contender[] = [];
  const idle: Record<string, number> = {};
  const least = new Map<string, Figures>();
  try {
    const { before } = flags;
    const peers = flags.peers.split(',');
    await startContenders({ temporary, upstream, hosts, workers, peers, before }, contenders);
    for (const contender of contenders) {
      if (Number(flags.idle) > 0) idle[contender.name] = await idleKilobytes(contender, hosts);
    }
    for (let number = 0; number <= Number(flags.rounds); number += 1) {
      for (const one of cases) {
        for (const contender of contenders) {
          const seconds = number === 0 ? warmUpSeconds : Number(flags.seconds);
          const figures = await measure(temporary, one, contender, hosts, seconds);
          if (number > 0) keepLeast(least, `${one.name} ${contender.name}`, figures);
        }
      }
      print(number === 0 ? 'warmed up' : `round ${number} of ${flags.rounds} done`);
    }
  } finally {
    for (const { stop } of contenders) await stop();
    await upstream.stop();
    process.off('exit', remove);
    remove();
  }
  const results = cases.flatMap((one) => resultsOf(one, contenders, least));
  print(`\n${hosts} hosts, ${workers} worker${workers === 1 ? '' : 's'}, upstream: ${upstream.kind}`);
  for (const one of cases) printCase(one, results);
  if (Number(flags.idle) > 0) {
    print('\nmemory of an idle connection');
    printTable(
      ['proxy', 'kB'],
      contenders.map(({ name }) => [name, idle[name]!]),
    );
  }
  return { upstream: upstream.kind, results, idleKilobytes: idle };
}

/** User and system time are of the same round: the one with the smallest sum. */
function keepLeast(least: Map<string, Figures>, key: string, figures: Figures): void {
  const before = least.get(key);
  const errors = (before?.errors ?? 0) + figures.errors;
  const better = before === undefined || figures.user + figures.system < before.user + before.system;
  least.set(key, { ...(better ? figures : before), errors });
}

function resultsOf(one: ProxyCase, contenders: Contender[], least: Map<string, Figures>): Result[] {
  const of = (name: string) => least.get(`${one.name} ${name}`)!;
  const total = ({ user, system }: Figures) => user + system;
  const base = contenders.find(({ name }) => name === 'HAProxy') ?? contenders.at(-1)!;
  return contenders.map(({ name, version }) => ({
    case: one.name,
    contender: name,
    version,
    ...of(name),
    ratio: round(total(of(base.name)) / total(of(name))),
  }));
}

function printCase({ name, what }: ProxyCase, results: Result[]): void {
  print(`\n${name}: ${what}; smallest of ${flags.rounds} rounds`);
  printTable(
    ['proxy', 'CPU a request', 'user', 'system', 'ratio', 'requests/s', 'errors'],
    results
      .filter((row) => row.case === name)
      .map((row) => [
        `${row.contender} ${row.version}`,
        `${round1(row.user + row.system)} µs`,
        round1(row.user),
        round1(row.system),
        row.ratio.toFixed(2),
        Math.round(row.requestsPerSecond),
        row.errors,
      ]),
  );
}

async function measure(
  folder: string,
  { load }: ProxyCase,
  { port, pid, certificate }: Contender,
  hosts: number,
  seconds: number,
): Promise<Figures> {
  const before = readProcessTree(pid);
  const connections = Number(flags.connections);
  const options = { folder, port, host: bulkHost(0), hosts, certificate, connections, seconds };
  const { requests, errors } = await load(options);
  const after = readProcessTree(pid);
  const spent = (key: 'userSeconds' | 'systemSeconds') =>
    after.reduce((sum, figures) => sum + figures[key], 0) -
    before.reduce((sum, figures) => sum + figures[key], 0);
  return {
    user: (spent('userSeconds') / requests) * 1e6,
    system: (spent('systemSeconds') / requests) * 1e6,
    errors,
    requestsPerSecond: requests / seconds,
  };
}

/** What a connection takes that has had one answer and waits. The first hundred are for what is made once. */
async function idleKilobytes({ port, pid, certificate }: Contender, hosts: number): Promise<number> {
  const resident = () => readProcessTree(pid).reduce((sum, { rssBytes }) => sum + rssBytes, 0);
  const settled = async () => {
    await delay(settleMs);
    return resident();
  };
  const hold = (count: number) => holdConnections({ port, certificate, hosts, count }, settled);
  await hold(100);
  const few = await settled();
  return round(((await hold(Number(flags.idle))) - few) / Number(flags.idle) / 1024);
}
