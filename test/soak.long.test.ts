import { setTimeout as delay } from 'node:timers/promises';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { testFolder } from '@lockstep/testkit';
import t from 'tap';
import { readProcessTree } from './bench/process-tree.ts';
import { quantilesOf } from './bench/report.ts';
import { type MixedSort, startMixedLoad } from './fleet/mixed-load.ts';
import { type MixedProtocol, startMixedUpstream } from './fleet/mixed-upstream.ts';
import { type EdgeUnderTest, startFleet } from './fleet/start-fleet.ts';

/** Before a release, ten minutes: SOAK_SECONDS=600 npx tap run test/soak.long.test.ts */
const seconds = Number(process.env.SOAK_SECONDS ?? 40);
const changesPerSecond = 20;
/** Each makes, changes and deletes in turn; together they keep the pace while one of them waits for its answer. */
const lanes = [0, 1, 2, 3];
const host = 'shop.example.com';
/** A worker that was replaced waits for connections that are idle: with so many of them as there are reloads here, not for a minute. */
const keepAliveMs = 10_000;
/** Processes take memory over until they are warm; from a third of the time on they may grow so much. */
const mostGrowth = 1.3;

t.test('everything at once fails no request, and takes no more memory in the end', async (t) => {
  const fleet = await startFleet(t, { dir: testFolder(t), edges: 2, workers: 2 });
  await fleet.call('PATCH', '/v1/settings', { edge: { timeouts: { keepAliveMs } } });
  const upstream = async (protocol?: MixedProtocol) => {
    const started = await startMixedUpstream(protocol);
    t.teardown(() => started.close());
    return started;
  };
  const steady = await upstream();
  const other = await upstream();
  const restarting = [await upstream(), await upstream('h2c')];
  const h2c = { url: (await upstream('h2c')).url, protocol: 'h2c' };
  const h2 = { url: (await upstream('h2')).url, protocol: 'h2', tls: { verify: false } };
  // An upstream that ends breaks off what it had accepted and not read yet.
  const retries = { attempts: 2, on: ['connect', 'reset'] };
  const routes: [name: string, upstreams: object[], sorts: MixedSort[], more?: object][] = [
    [host, [{ url: steady.url }], ['gets', 'uploads', 'events', 'tunnels']],
    ['restarting.example.com', [{ url: restarting[0]!.url }, { url: other.url }], ['gets'], { retries }],
    ['h2c.example.com', [h2c], ['gets', 'uploads', 'events', 'calls']],
    ['h2.example.com', [h2], ['gets', 'uploads', 'tunnels', 'calls']],
    ['restarting-h2c.example.com', [{ ...h2c, url: restarting[1]!.url }, h2c], ['gets'], { retries }],
  ];
  for (const [name, upstreams, , more] of routes) await put(name, upstreams, more);

  const authority = await createAuthority();
  const ca = `${await fleet.internalRoot()}\n${authority.certificate}`;
  const ports = fleet.edges.map(({ https }) => https);
  const loads = routes.map(([name, , sorts]) => startMixedLoad({ ports, host: name, ca, sorts }));
  const stopped = new AbortController();
  const faults: string[] = [];
  let brought: string | null = null;
  const done = { changes: 0, swaps: 0, reloads: 0, restarts: 0 };
  const chores = [
    ...lanes.map((lane) => {
      let turn = 2;
      return repeat((1_000 / changesPerSecond) * lanes.length, async () => {
        turn += 1;
        await changeRoute(lane, turn);
        done.changes += 1;
      });
    }),
    repeat(2_000, async () => {
      await swapCertificate();
      done.swaps += 1;
    }),
    repeat(7_000, async () => {
      await reload(fleet.edges[done.reloads % 2]!);
      done.reloads += 1;
    }),
    repeat(3_000, async () => {
      await restarting[done.restarts % 2]!.restart();
      done.restarts += 1;
    }),
  ];

  await delay((seconds * 1_000) / 3);
  const before = await memoryFor((seconds * 1_000) / 3);
  const after = await memoryFor((seconds * 1_000) / 3);
  stopped.abort();
  await Promise.all(chores);
  await Promise.all(loads.map((load) => load.stop()));

  t.same(faults, []);
  for (const load of loads) {
    t.same(load.failures.slice(0, 20), [], `${load.failures.length} failed`);
    for (const [sort, count] of Object.entries(load.answered)) t.ok(count > 0, `${sort}: ${count}`);
  }
  for (const [node, bytes] of Object.entries(after)) {
    t.ok(
      bytes < before[node]! * mostGrowth,
      `${node}: ${megabytes(before[node]!)} became ${megabytes(bytes)}`,
    );
  }
  t.comment(JSON.stringify({ seconds, done, answered: loads.map(({ answered }) => answered) }));

  async function repeat(everyMs: number, chore: () => Promise<void>): Promise<void> {
    for (let dueAt = performance.now() + everyMs; !stopped.signal.aborted; dueAt += everyMs) {
      // Late, it goes on at once, and does not make up for what it missed.
      dueAt = Math.max(dueAt, performance.now());
      await delay(dueAt - performance.now(), undefined, { signal: stopped.signal }).catch(() => {});
      if (!stopped.signal.aborted) await chore().catch((error) => faults.push(String(error)));
    }
  }

  async function put(name: string, upstreams: object[], more: object = {}): Promise<void> {
    const body = { hosts: [name], upstreams, ...more };
    const { status, text } = await fleet.call('PUT', `/v1/routes/${idOf(name)}`, body, {
      prefer: 'wait=60',
    });
    if (status !== 201) throw new Error(`PUT ${name}: ${status} ${text}`);
  }

  /** Made, changed and deleted in turn; every third change is of a route under load, which stays what it was to its clients. */
  async function changeRoute(lane: number, turn: number): Promise<void> {
    const id = `passing-${lane}-${Math.trunc(turn / 3)}`;
    const body = { hosts: [`${id}.example.com`], upstreams: [{ url: steady.url }] };
    const paths = turn % 2 === 0 ? ['/'] : ['/', '/elsewhere'];
    const { status } = await [
      () => fleet.call('PUT', `/v1/routes/${id}`, body),
      () => fleet.call('PATCH', `/v1/routes/${idOf(host)}`, { paths }),
      () => fleet.call('DELETE', `/v1/routes/${id}`),
    ][turn % 3]!();
    if (status > 299) throw new Error(`change ${turn}: ${status}`);
  }

  async function swapCertificate(): Promise<void> {
    const key = await generateKeyPem();
    const chain = await issueCertificate({
      authority,
      host,
      keyPem: key,
      lifetimeMs: 86_400_000 * 30,
      now: Date.now(),
    });
    const { status, text, body } = await fleet.call('POST', '/v1/certificates', { chain, key });
    if (status !== 201) throw new Error(`certificate: ${status} ${text}`);
    if (brought !== null) await fleet.call('DELETE', `/v1/certificates/${brought}`);
    brought = body.id;
  }

  async function reload({ admin }: EdgeUnderTest): Promise<void> {
    const { status } = await fetch(`http://127.0.0.1:${admin}/reload`, { method: 'POST' });
    if (status > 299) throw new Error(`reload: ${status}`);
  }

  /** Of each edge, the median over some time: while it reloads, it has a worker more. */
  async function memoryFor(ms: number): Promise<Record<string, number>> {
    const looks: Record<string, number[]> = {};
    for (const until = Date.now() + ms; Date.now() < until; await delay(500)) {
      for (const { node, process } of fleet.edges) {
        looks[node] ??= [];
        looks[node].push(readProcessTree(process.pid).reduce((sum, { rssBytes }) => sum + rssBytes, 0));
      }
    }
    return Object.fromEntries(Object.entries(looks).map(([node, all]) => [node, quantilesOf(all).p50]));
  }
});

function idOf(name: string): string {
  return name.split('.')[0]!;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MB`;
}
