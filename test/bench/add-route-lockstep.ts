import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { httpsGet } from './https-get.ts';
import { bulkHost, type DataFolder } from './load-store.ts';
import { cpuSecondsOf, readProcessTree } from './process-tree.ts';
import { type Quantiles, quantilesOf, round } from './report.ts';
import { startUp, type Up } from './start-up.ts';
import type { Upstream } from './start-upstream.ts';

const servedTimeoutMs = 30_000;
/** Between two attempts of a client that keeps trying a host whose certificate is under way: each takes CPU from the server. */
const attemptEveryMs = 5;

export interface AddRouteFigures {
  /** From the POST, without Prefer, to its 201. */
  answeredMs: Quantiles;
  /** From the POST, with `Prefer: wait=60`, to its 201 with the state `live`. */
  liveMs: Quantiles;
  /** The same until, after it, a new connection to each edge has brought the upstream's body: two handshakes more. */
  servedMs: Quantiles;
  /** Of the routes answered as live: those that an edge did not serve at the first attempt. Has to be 0. */
  notServedThoughLive: number;
}

export interface LockstepFigures extends AddRouteFigures {
  routes: number;
  /** From the start of `lockstep up` over the loaded store, the edges' disks empty, until both edges have everything. */
  firstStartMs: number;
  /** What that took of all its processes, which a busy machine makes wait but not work. */
  firstStartCpuSeconds: number;
}

export interface MeasureOptions {
  folder: DataFolder;
  routes: number;
  posts: number;
  edges: number;
  upstream: Upstream;
}

/** Starts `lockstep up` over a loaded store and adds routes to it one after another. */
export async function measureLockstep({
  folder,
  routes,
  posts,
  edges,
  upstream,
}: MeasureOptions): Promise<LockstepFigures> {
  const begunAt = performance.now();
  const up = await startUp({
    dataDir: folder.path,
    token: folder.token,
    edges,
    logFile: join(folder.path, 'bench-up.log'),
  });
  const firstStartMs = Math.round(performance.now() - begunAt);
  const firstStartCpuSeconds = round(cpuSecondsOf(readProcessTree(up.pid)));
  try {
    const ca = folder.authority.certificate;
    for (const index of new Set([0, Math.floor(routes / 2), routes - 1])) {
      if (routes > 0)
        await Promise.all(up.httpsPorts.map((port) => getBody(port, bulkHost(index), ca, upstream)));
    }
    return { routes, firstStartMs, firstStartCpuSeconds, ...(await addRoutes(up, posts, ca, upstream)) };
  } finally {
    await up.stop();
  }
}

async function addRoutes(up: Up, posts: number, ca: string, upstream: Upstream): Promise<AddRouteFigures> {
  const answered: number[] = [];
  const live: number[] = [];
  const served: number[] = [];
  let notServedThoughLive = 0;
  const post = (host: string, headers: Record<string, string>) =>
    up.call('POST', '/v1/routes', { hosts: [host], upstreams: [{ url: upstream.url }] }, headers);
  // The first two, number -1, are not counted: they warm up the code on both sides.
  for (let number = -1; number < posts; number += 1) {
    const plainHost = `plain${number + 1}.new.example.com`;
    let begunAt = performance.now();
    await post(plainHost, {});
    const answeredMs = performance.now() - begunAt;
    // So that its certificate is not still under way when the next POST is timed.
    await Promise.all(up.httpsPorts.map((port) => getBodyEventually(port, plainHost, ca, upstream)));

    const waitHost = `wait${number + 1}.new.example.com`;
    begunAt = performance.now();
    const { body } = await post(waitHost, { prefer: 'wait=60' });
    const liveMs = performance.now() - begunAt;
    const { state } = (body as { status: { state: string } }).status;
    if (state !== 'live') throw new Error(`the route of ${waitHost} is ${state} after 60 s`);
    const attempts = await Promise.allSettled(
      up.httpsPorts.map((port) => getBody(port, waitHost, ca, upstream)),
    );
    const servedMs = performance.now() - begunAt;

    if (number < 0) continue;
    answered.push(answeredMs);
    served.push(servedMs);
    live.push(liveMs);
    if (attempts.some(({ status }) => status === 'rejected')) notServedThoughLive += 1;
  }
  return {
    answeredMs: quantilesOf(answered),
    liveMs: quantilesOf(live),
    servedMs: quantilesOf(served),
    notServedThoughLive,
  };
}

/** One attempt; throws unless the upstream's body comes back. */
export async function getBody(port: number, host: string, ca: string, upstream: Upstream): Promise<void> {
  const { status, body } = await httpsGet({ port, host, ca });
  if (status !== 200 || body !== upstream.body) throw new Error(`port ${port} answers ${status} for ${host}`);
}

export async function getBodyEventually(
  port: number,
  host: string,
  ca: string,
  upstream: Upstream,
): Promise<void> {
  const end = performance.now() + servedTimeoutMs;
  for (;;) {
    try {
      return await getBody(port, host, ca, upstream);
    } catch (cause) {
      if (performance.now() > end)
        throw new Error(`${host} is not served on port ${port} after 30 s`, { cause });
    }
    await delay(attemptEveryMs);
  }
}
