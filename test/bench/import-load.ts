import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { httpsGet } from './https-get.ts';
import { type Quantiles, quantilesOf, round } from './report.ts';
import type { Upstream } from './start-upstream.ts';

/** What is imported into: the control planes take turns. */
export interface Target {
  urls: string[];
  token: string;
  httpsPorts: number[];
  /** PEM roots of the certificates that edges serve. */
  ca: string;
  upstream: Upstream;
  /** Every host is below it. */
  zone: string;
}

export interface ImportOptions {
  posts: number;
  atOnce: number;
  /** Single POSTs before the import, to compare with. */
  alone: number;
  /** In one request of many lines, not in single POSTs. */
  bulk: boolean;
  /** When to give up. */
  limitMs: number;
}

export interface ImportFigures {
  quantiles: Record<string, Quantiles>;
  answeredSeconds: number;
  liveSeconds: number;
  refused: number;
  failed: number;
}

const everySecondMs = 1_000;
const healthEveryMs = 250;
const lookEveryMs = 500;
const retryMs = 200;

export async function measureImport(target: Target, options: ImportOptions): Promise<ImportFigures> {
  const { posts, atOnce, alone, bulk, limitMs } = options;
  const { call, single, health, patch } = probesOf(target);
  await single('warm-up');
  await patch(0);
  const before: number[] = [];
  for (let index = 0; index < alone; index += 1) before.push(await single(`alone-${index}`));

  const until = performance.now() + limitMs;
  const singles: number[] = [];
  const healths: number[] = [];
  const patches: number[] = [];
  let failed = 0;
  let over = false;
  /** Each begins so long after the one before, or as soon as that is done. */
  async function repeat(everyMs: number, times: number[], probe: (index: number) => Promise<number>) {
    for (let index = 1; !over; index += 1) {
      const from = performance.now();
      try {
        times.push(await probe(index));
      } catch (error) {
        failed += 1;
        process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
      }
      await delay(Math.max(0, everyMs - (performance.now() - from)));
    }
  }

  const from = performance.now();
  const answers: number[] = [];
  let refused = 0;
  let next = 0;
  async function importer(): Promise<void> {
    while (next < posts && performance.now() < until) {
      const index = next++;
      const begunAt = performance.now();
      for (;;) {
        const { status } = await call(index, 'POST', '/v1/routes', routeOf(target, `import-${index}`));
        if (status === 201) break;
        if (status !== 503) failed += 1;
        refused += 1;
        await delay(retryMs);
      }
      answers.push(performance.now() - begunAt);
    }
  }
  const probes = [
    repeat(everySecondMs, singles, (index) => single(`single-${index}`)),
    repeat(healthEveryMs, healths, health),
    repeat(everySecondMs, patches, patch),
  ];
  async function importAll(): Promise<void> {
    const lines = Array.from({ length: posts }, (_, index) => ({
      id: `import-${index}`,
      ...routeOf(target, `import-${index}`),
    }));
    const response = await fetch(`${target.urls[0]}/v1/routes/bulk`, {
      method: 'POST',
      headers: { authorization: `Bearer ${target.token}`, 'content-type': 'application/x-ndjson' },
      body: lines.map((line) => JSON.stringify(line)).join('\n'),
    });
    const answered = (await response.text()).split('\n').filter((line) => line.includes('"status":201'));
    failed += posts - answered.length;
  }
  await (bulk ? importAll() : Promise.all(Array.from({ length: atOnce }, importer)));
  const answeredSeconds = round((performance.now() - from) / 1_000);
  while (!(await isAllLive(call)) && performance.now() < until) await delay(lookEveryMs);
  const liveSeconds = round((performance.now() - from) / 1_000);
  over = true;
  await Promise.all(probes);
  return {
    quantiles: {
      'single POST until live, alone': quantilesOf(before),
      'single POST until live, meanwhile': quantilesOf(singles),
      'GET /healthz on a new connection': quantilesOf(healths),
      'PATCH until in force at every edge': quantilesOf(patches),
      ...(bulk ? {} : { 'POST of the import until answered': quantilesOf(answers) }),
    },
    answeredSeconds,
    liveSeconds,
    refused,
    failed,
  };
}

type Call = (
  index: number,
  method: string,
  path: string,
  body?: object,
  headers?: Record<string, string>,
) => Promise<{ status: number; text: string }>;

function routeOf({ zone, upstream }: Target, name: string, port = upstream.port) {
  return { hosts: [hostOf(zone, name)], upstreams: [{ url: `http://127.0.0.1:${port}` }] };
}

/** Each name is a registered domain of its own, as customers' are. */
function hostOf(zone: string, name: string): string {
  return `${name}.${zone}`;
}

function probesOf(target: Target) {
  const call: Call = async (index, method, path, body, headers = {}) => {
    const response = await fetch(target.urls[index % target.urls.length] + path, {
      method,
      headers: {
        authorization: `Bearer ${target.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  };

  /** A customer: one POST that waits until it is live. */
  async function single(name: string): Promise<number> {
    const from = performance.now();
    const { text } = await call(0, 'POST', '/v1/routes', routeOf(target, name), { prefer: 'wait=120' });
    const state = JSON.parse(text).status?.state;
    if (state !== 'live') throw new Error(`${name} is ${state}: ${text.slice(0, 200)}`);
    return performance.now() - from;
  }

  async function health(index: number): Promise<number> {
    const from = performance.now();
    const status = await getOverNewConnection(`${target.urls[index % target.urls.length]}/healthz`);
    if (status !== 200) throw new Error(`/healthz is ${status}`);
    return performance.now() - from;
  }

  /** One route goes from one path of the upstream's to nowhere and back: an edge answers 200, then 502, then 200. */
  async function patch(index: number): Promise<number> {
    const name = 'patched';
    const broken = index % 2 === 1;
    const route = routeOf(target, name, broken ? 1 : target.upstream.port);
    if (index === 0) {
      await call(0, 'PUT', '/v1/routes/patched', route, { prefer: 'wait=60' });
      return 0;
    }
    const from = performance.now();
    const { status } = await call(0, 'PATCH', '/v1/routes/patched', { upstreams: route.upstreams });
    if (status >= 300) throw new Error(`a PATCH was answered ${status}`);
    await Promise.all(
      target.httpsPorts.map(async (port) => {
        const host = hostOf(target.zone, name);
        while ((await httpsGet({ port, host, ca: target.ca })).status !== (broken ? 502 : 200))
          await delay(10);
      }),
    );
    return performance.now() - from;
  }

  return { call, single, health, patch };
}

function getOverNewConnection(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    }).on('error', reject);
  });
}

/** No order is left, and every edge has everything. */
async function isAllLive(call: Call): Promise<boolean> {
  const metrics = (await call(0, 'GET', '/metrics')).text;
  const figure = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
  const certificates = figure('lockstep_records{kind="certificate"}'.replace(/[{}]/g, '\\$&'));
  if (certificates < figure('lockstep_records{kind="route"}'.replace(/[{}]/g, '\\$&'))) return false;
  const { items } = JSON.parse((await call(0, 'GET', '/v1/nodes')).text) as {
    items: { state: string; revision: number }[];
  };
  return items.every(({ revision }) => revision >= figure('lockstep_store_revision'));
}
