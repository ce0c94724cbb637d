import { once } from 'node:events';
import { type ClientRequest, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '@lockstep/testkit';
import { cpuSecondsOf, type ProcessFigures } from './process-tree.ts';
import { type Quantiles, quantilesOf, round } from './report.ts';

const sampleEveryMs = 500;
/** Sent in one piece, and not answered at a time: sockets would take minutes of lines. */
const linesAtOnce = 100;
const mostUnanswered = 1_000;
const inStepTimeoutMs = 600_000;
const mostQuietRounds = 300;

/** What is measured: the control plane that takes the lines comes first. */
export interface BulkTarget {
  urls: string[];
  token: string;
  /** Of everything, by what it is. */
  processes(): Record<string, ProcessFigures[]>;
}

export interface BulkOptions {
  path: '/v1/routes/bulk' | '/v1/routes/bulk-delete';
  lines: number;
  lineOf(index: number): object;
  /** For so long lines are sent, and then for half of it none, in turns, so that both are measured on the same machine. */
  windowMs: number;
  /** Of a route of a host that none had before. */
  single(name: string): object;
  /** Between one single POST and the next. */
  singleEveryMs: number;
  readAnswers?: 'at once' | 'slowly';
}

export interface BulkFigures {
  /** Of each kind of single POST, its time while no lines are sent, while they are, and how many times the first is in the second. */
  singles: Record<string, { alone: Quantiles; meanwhile: Quantiles; ratio: { p50: number; p99: number } }>;
  statuses: Record<string, number>;
  linesPerSecond: number;
  /** Of all control planes, for a line. */
  cpuMicrosecondsPerLine: { controlPlanes: number; edges: number };
  /** From the last answer of a window until every edge has everything. */
  inStepMs: Quantiles;
  /** Resident memory: at the start, the most meanwhile, at the end. */
  rssMegabytes: Record<string, { before: number; most: number; after: number }>;
}

/** Sends the lines in windows, with single POSTs in them and between them. */
export async function measureBulk(target: BulkTarget, options: BulkOptions): Promise<BulkFigures> {
  const { lines, windowMs, path } = options;
  await quiet(target);
  const rss = watchMemory(target);
  const times = new Map<string, { alone: number[]; meanwhile: number[] }>();
  const stream = openStream(target, path, options);
  let phase: 'alone' | 'meanwhile' | 'over' = 'alone';
  const singles = sendSingles(
    target,
    options,
    (name, inPhase, ms) => {
      const of = times.get(name) ?? { alone: [], meanwhile: [] };
      times.set(name, of);
      if (inPhase !== 'over') of[inPhase].push(ms);
    },
    () => phase,
  );

  const inStep: number[] = [];
  let sentMs = 0;
  const cpu = { controlPlanes: 0, edges: 0 };
  for (let sent = 0; sent < lines; ) {
    phase = 'alone';
    await delay(windowMs / 2);
    phase = 'meanwhile';
    const [from, cpuBefore] = [performance.now(), cpuOf(target)];
    while (sent < lines && performance.now() - from < windowMs) {
      const upTo = Math.min(lines, sent + linesAtOnce);
      await stream.send(sent, upTo);
      sent = upTo;
      await stream.answered(sent - mostUnanswered);
    }
    await stream.answered(sent);
    sentMs += performance.now() - from;
    phase = 'over'; // what begins now is neither
    const answeredAt = performance.now();
    await waitFor(() => isInStep(target), {
      what: 'every edge to have everything',
      timeoutMs: inStepTimeoutMs,
      intervalMs: 50,
    });
    inStep.push(performance.now() - answeredAt);
    for (const [name, seconds] of Object.entries(cpuOf(target)))
      cpu[name as keyof typeof cpu] += seconds - cpuBefore[name as keyof typeof cpu];
  }
  phase = 'alone';
  await delay(windowMs);
  phase = 'over';
  singles.stop();
  await singles.done;
  await stream.end();
  const perLine = (seconds: number) => round((seconds * 1e6) / lines);
  return {
    singles: Object.fromEntries(
      [...times].map(([name, of]) => {
        const [alone, meanwhile] = [quantilesOf(of.alone), quantilesOf(of.meanwhile)];
        const ratio = { p50: round(meanwhile.p50 / alone.p50), p99: round(meanwhile.p99 / alone.p99) };
        return [name, { alone, meanwhile, ratio }];
      }),
    ),
    statuses: stream.statuses,
    linesPerSecond: round((lines * 1_000) / sentMs),
    cpuMicrosecondsPerLine: { controlPlanes: perLine(cpu.controlPlanes), edges: perLine(cpu.edges) },
    inStepMs: quantilesOf(inStep),
    rssMegabytes: await rss.end(),
  };
}

/** Edges look at what they have just got: until that is over, all would be slower. */
async function quiet(target: BulkTarget): Promise<void> {
  const total = () => Object.values(cpuOf(target)).reduce((sum, seconds) => sum + seconds, 0);
  for (let before = total(), rounds = 0; rounds < mostQuietRounds; rounds += 1) {
    await delay(1_000);
    const now = total();
    if (now - before < 0.15) return;
    before = now;
  }
}

function cpuOf({ processes }: BulkTarget): { controlPlanes: number; edges: number } {
  const of = { controlPlanes: 0, edges: 0 };
  for (const [name, tree] of Object.entries(processes()))
    of[name.startsWith('control plane') ? 'controlPlanes' : 'edges'] += cpuSecondsOf(tree);
  return of;
}

function openStream(
  { urls, token }: BulkTarget,
  path: string,
  { lineOf, readAnswers = 'at once' }: Pick<BulkOptions, 'lineOf' | 'readAnswers'>,
) {
  const statuses: Record<string, number> = {};
  let answers = 0;
  let pending = '';
  let wake: () => void = () => {};
  const sending: ClientRequest = request(urls[0] + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
  });
  let failed: Error | null = null;
  const ended = new Promise<void>((resolve, reject) => {
    sending.on('error', reject).on('response', async (response) => {
      if (response.statusCode !== 200) return reject(new Error(`answered ${response.statusCode}`));
      for await (const piece of response.setEncoding('utf8')) {
        const lines = (pending + piece).split('\n');
        pending = lines.pop()!;
        for (const line of lines) {
          const { status, error } = JSON.parse(line) as { status: number; error?: { code: string } };
          const name = error === undefined ? String(status) : `${status} ${error.code}`;
          statuses[name] = (statuses[name] ?? 0) + 1;
        }
        answers += lines.length;
        wake();
        if (readAnswers === 'slowly') await delay(lines.length / 2);
      }
      resolve();
    });
  });
  ended.catch((error) => {
    failed = error;
    wake();
  });
  sending.flushHeaders();
  return {
    statuses,
    async send(from: number, to: number): Promise<void> {
      let piece = '';
      for (let index = from; index < to; index += 1) piece += `${JSON.stringify(lineOf(index))}\n`;
      if (!sending.write(piece)) await Promise.race([once(sending, 'drain'), ended]);
    },
    async answered(count: number): Promise<void> {
      while (answers < count) {
        if (failed !== null) throw failed;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async end(): Promise<void> {
      sending.end();
      await ended;
    },
  };
}

type Phase = 'alone' | 'meanwhile' | 'over';

/** One after another: a POST that is answered at once, and one that waits for all edges, at each control plane. */
function sendSingles(
  { urls, token }: BulkTarget,
  { path, single, singleEveryMs }: BulkOptions,
  note: (name: string, phase: Phase, ms: number) => void,
  phase: () => Phase,
) {
  let stopped = false;
  const prefix = path.endsWith('delete') ? 'd' : 'p';
  async function post(url: string, name: string, headers: Record<string, string>): Promise<number> {
    const begunAt = performance.now();
    const response = await fetch(`${url}/v1/routes`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(single(name)),
    });
    const body = (await response.json()) as { status: { state: string } };
    const ms = performance.now() - begunAt;
    if (response.status !== 201)
      throw new Error(`${name} was answered ${response.status} ${JSON.stringify(body)}`);
    return ms;
  }

  async function run(): Promise<void> {
    for (let number = 0; !stopped; number += 1)
      for (const [index, url] of urls.entries())
        for (const [kind, headers] of Object.entries({ '201': {}, live: { prefer: 'wait=60' } })) {
          const begun = phase();
          const ms = await post(
            url,
            `${prefix}${number}-${index}-${kind}`,
            headers as Record<string, string>,
          );
          const where =
            urls.length === 1 ? '' : index === 0 ? ', where the lines are taken' : ', at the other';
          if (number > 1 && begun === phase()) note(`until ${kind}${where}`, begun, ms);
          await delay(singleEveryMs);
        }
  }

  return {
    done: run(),
    stop() {
      stopped = true;
    },
  };
}

async function isInStep({ urls, token }: BulkTarget): Promise<boolean> {
  const get = (path: string) => fetch(urls[0] + path, { headers: { authorization: `Bearer ${token}` } });
  const metrics = await (await get('/metrics')).text();
  const revision = Number(/^lockstep_store_revision (\S+)$/m.exec(metrics)?.[1]);
  const { items } = (await (await get('/v1/nodes')).json()) as { items: { revision: number }[] };
  return items.every((node) => node.revision >= revision);
}

function watchMemory({ processes }: BulkTarget) {
  const seen: Record<string, { before: number; most: number; after: number }> = {};
  let going = true;
  function look(): void {
    for (const [name, tree] of Object.entries(processes())) {
      for (const [index, { rssBytes }] of tree.entries()) {
        const megabytes = Math.round(rssBytes / 1e6);
        const key = index === 0 ? name : `${name}, worker`;
        const of = seen[key] ?? { before: megabytes, most: 0, after: 0 };
        seen[key] = { before: of.before, most: Math.max(of.most, megabytes), after: megabytes };
      }
    }
  }
  async function run(): Promise<void> {
    while (going) {
      look();
      await delay(sampleEveryMs);
    }
  }
  const done = run();
  return {
    async end() {
      going = false;
      await done;
      look();
      return seen;
    },
  };
}
