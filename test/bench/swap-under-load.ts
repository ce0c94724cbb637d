import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type CertificateRecord, edgeCanaryId, type Position } from '@lockstep/contract';
import {
  type Authority,
  checkChain,
  createAuthority,
  createEdgeSealer,
  deriveEdgeKey,
  generateKeyPem,
  generateSecretKey,
  issueCertificate,
  type Sealer,
  sealCanary,
} from '@lockstep/pki';
import { type Change, type ConfigStore, createRedisStore } from '@lockstep/store';
import { startRedis, waitFor } from '@lockstep/testkit';
import { print, printTable, quantilesOf, writeJson } from './report.ts';
import { type Edge, isReady, startEdge } from './start-edge.ts';
import { startUpstream } from './start-upstream.ts';
import type { LoadFigures, SwapLoadFigures, SwapLoadOptions } from './swap-load.ts';

const usage = `Certificates swapped under load: renewed ones are committed to a Redis while every edge serves requests over connections
that are kept, and over one for each request. Counts what failed; ends with 1 unless that is nothing.

  node test/bench/swap-under-load.ts [--swaps 200] [--seconds 10] [--edges 2] [--keep-alive 8] [--fresh 4] [--json FILE]`;

const { values: flags } = parseArgs({
  options: {
    swaps: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '10' },
    edges: { type: 'string', default: '2' },
    'keep-alive': { type: 'string', default: '8' },
    fresh: { type: 'string', default: '4' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const host = 'swap.example.com';
const lifetimeMs = 90 * 86_400_000;
/** Load before the first swap and after the last. */
const marginMs = 1_000;
if (flags.help) print(usage);
else await run();

async function run(): Promise<void> {
  const swaps = Number(flags.swaps);
  await using parts = new AsyncDisposableStack();
  const temporary = mkdtempSync(join(tmpdir(), 'lockstep-swap-'));
  process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
  const upstream = await startUpstream(temporary, 1_024);
  parts.defer(upstream.stop);
  const redis = await startRedis();
  parts.defer(redis.close);
  const store = createRedisStore({ url: redis.url });
  parts.defer(() => store.close());

  const edgeKey = deriveEdgeKey(generateSecretKey());
  const sealer = createEdgeSealer(edgeKey);
  const authority = await createAuthority();
  const certificates: CertificateRecord[] = [];
  for (let number = 0; number <= swaps; number += 1) certificates.push(await issue(authority, sealer));
  await store.open({ create: true, expectedEpoch: null });
  const first = await commit(store, [
    { op: 'put', kind: 'edge-canary', id: edgeCanaryId, value: { sealed: sealCanary(sealer) } },
    { op: 'put', kind: 'route', id: 'swap', value: routeTo(upstream.url), claims: [`${host} /`] },
    putCertificate(certificates[0]!),
  ]);

  const edges: Edge[] = [];
  for (let number = 1; number <= Number(flags.edges); number += 1) {
    const node = `edge-${number}`;
    const dataDir = join(temporary, node);
    const logFile = join(temporary, `${node}.log`);
    const edge = await startEdge({ node, dataDir, edgeKey, storeUrl: redis.url, logFile });
    parts.defer(edge.stop);
    edges.push(edge);
  }
  for (const edge of edges)
    await waitFor(() => isReady(edge), { what: 'the edges to be ready', timeoutMs: 30_000 });
  const acknowledged = watchAcknowledgements(store, edges.length);
  parts.defer(acknowledged.close);
  await acknowledged.reached(first);

  const load = startLoad({
    ports: edges.map(({ httpsPort }) => httpsPort),
    host,
    ca: authority.certificate,
    body: upstream.body,
    keepAlive: Number(flags['keep-alive']),
    fresh: Number(flags.fresh),
  });
  parts.defer(load.kill);
  await delay(marginMs);
  const waits: Promise<number>[] = [];
  const begunAt = performance.now();
  for (const [index, certificate] of certificates.slice(1).entries()) {
    await delay(Math.max(0, begunAt + (index * Number(flags.seconds) * 1_000) / swaps - performance.now()));
    const position = await commit(store, [putCertificate(certificate)]);
    const committedAt = performance.now();
    waits.push(acknowledged.reached(position).then(() => performance.now() - committedAt));
  }
  const swappedInMs = Math.round(performance.now() - begunAt);
  const acknowledgedMs = quantilesOf(await Promise.all(waits));
  await delay(marginMs);
  const { serialNumbers, ...figures } = await load.stop();

  const committed = new Set(certificates.map(({ serialNumber }) => serialNumber));
  const unknown = serialNumbers.filter((serialNumber) => !committed.has(serialNumber));
  const failed = failuresOf(figures.keepAlive) + failuresOf(figures.fresh);
  print(
    `${swaps} certificates swapped in ${(swappedInMs / 1_000).toFixed(1)} s on ${edges.length} edges of one worker`,
  );
  printTable(
    ['connections', 'requests', 'made', 'failed', 'p50', 'p99'],
    [
      ['kept', ...rowOf(figures.keepAlive)],
      ['one a request', ...rowOf(figures.fresh)],
    ],
  );
  const { p50, p99 } = acknowledgedMs;
  print(`committed until acknowledged by every edge: p50 ${p50} ms, p99 ${p99} ms`);
  print(`certificates that new connections were shown: ${serialNumbers.length}, unknown: ${unknown.length}`);
  for (const { failures } of [figures.keepAlive, figures.fresh]) {
    for (const [reason, count] of Object.entries(failures)) print(`  ${count} failed: ${reason}`);
  }
  writeJson(
    'swap-under-load',
    {
      swaps,
      swappedInMs,
      edges: edges.length,
      failed,
      acknowledgedMs,
      certificatesShown: serialNumbers.length,
      ...figures,
    },
    flags.json,
  );
  if (failed > 0 || unknown.length > 0) process.exitCode = 1;
}

function commit(store: ConfigStore, changes: Change[]): Promise<Position> {
  return store.commit({ id: randomUUID(), changes });
}

function putCertificate(value: CertificateRecord): Change {
  return { op: 'put', kind: 'certificate', id: host, value };
}

function routeTo(url: string) {
  const at = new Date().toISOString();
  return { hosts: [host], paths: ['/'], upstreams: [{ url }], createdAt: at, updatedAt: at };
}

async function issue(authority: Authority, sealer: Sealer<'edges'>): Promise<CertificateRecord> {
  const now = Date.now();
  const keyPem = await generateKeyPem();
  const chain = await issueCertificate({ authority, host, keyPem, lifetimeMs, now });
  const { serialNumber, fingerprint256, notBefore, notAfter } = checkChain({ chain, keyPem, host, now });
  const sealedKey = sealer.seal(keyPem, `certificate/${host}`);
  const issuedAt = new Date(now).toISOString();
  return {
    host,
    issuer: 'internal',
    chain,
    sealedKey,
    serialNumber,
    fingerprint256,
    notBefore,
    notAfter,
    issuedAt,
  };
}

/** When every node has said that it applied a revision. */
function watchAcknowledgements(store: ConfigStore, nodes: number) {
  const applied = new Map<string, Position | { epoch: string; number: number } | null>();
  const waiting = new Set<{ position: Position; resolve: () => void }>();
  const isReached = (position: Position) =>
    applied.size === nodes &&
    [...applied.values()].every((at) => at?.epoch === position.epoch && at.number >= position.number);
  function look(): void {
    for (const wait of waiting) {
      if (!isReached(wait.position)) continue;
      waiting.delete(wait);
      wait.resolve();
    }
  }
  const unwatch = store.watchNodes((presence) => {
    if (presence !== null) applied.set(presence.report.node, presence.report.applied);
    look();
  });
  return {
    reached: (position: Position) =>
      new Promise<void>((resolve) => {
        waiting.add({ position, resolve });
        look();
      }),
    close: unwatch,
  };
}

function startLoad(options: SwapLoadOptions) {
  const entry = fileURLToPath(new URL('./swap-load.ts', import.meta.url));
  const child = fork(entry, [JSON.stringify(options)]);
  return {
    async stop(): Promise<SwapLoadFigures> {
      const answer = once(child, 'message');
      child.send('stop');
      const [figures] = await answer;
      return figures as SwapLoadFigures;
    },
    kill() {
      child.kill('SIGKILL');
    },
  };
}

function failuresOf({ failures }: LoadFigures): number {
  return Object.values(failures).reduce((sum, count) => sum + count, 0);
}

function rowOf(figures: LoadFigures): (string | number)[] {
  const { requests, connections, ms } = figures;
  return [requests, connections, failuresOf(figures), `${ms.p50} ms`, `${ms.p99} ms`];
}
