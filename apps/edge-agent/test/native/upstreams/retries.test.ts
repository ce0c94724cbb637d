import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import type { RouteRecord, RouteRetries } from '@lockstep/contract';
import t, { type Test } from 'tap';
import { type FetchOptions, fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const edge = await startWorker(t);
const nowhere = 'http://127.0.0.1:1';

async function startCounted(t: Test, listener: RequestListener) {
  const seen: string[] = [];
  const { url } = await startUpstream(t, (request, response) => {
    seen.push(request.method!);
    listener(request, response);
  });
  return { url, seen };
}

const well: RequestListener = (request, response) => {
  request.resume();
  request.on('end', () => response.end('well'));
};
const reset: RequestListener = ({ socket }) => (socket as Socket).resetAndDestroy();
const failing: RequestListener = (request, response) => {
  request.resume();
  request.on('end', () => response.writeHead(503).end('busy'));
};

async function serve(urls: string[], retries: RouteRetries | null, more: Partial<RouteRecord> = {}) {
  const all = { balance: { policy: 'first' } as const, ...(retries === null ? {} : { retries }), ...more };
  await edge.applied(await edge.serve('shop', [host], urls, ['/'], all));
}

const send = (more: Partial<FetchOptions> = {}) =>
  fetchThrough({ port: edge.httpsPort, host, root: edge.root, ...more });
const repeats = () => ({ ...edge.worker.figures().repeats });

t.test('what was reset, or answered 5xx, goes to another upstream where the route says so', async (t) => {
  for (const [listener, on, status] of [
    [reset, 'reset', 502],
    [failing, '5xx', 503],
  ] as const) {
    const [sick, sound] = [await startCounted(t, listener), await startCounted(t, well)];
    await serve([sick.url, sound.url], null);
    t.equal((await send()).status, status, 'not without');
    await serve([sick.url, sound.url], { attempts: 1, on: [on === 'reset' ? '5xx' : 'reset'] });
    t.equal((await send()).status, status, 'nor for another reason');
    const before = repeats()[on]!;
    await serve([sick.url, sound.url], { attempts: 1, on: [on] });
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE'])
      t.match(await send({ method }), { status: 200 });
    t.equal(repeats()[on], before + 4);
    t.equal(sound.seen.length, 4);
  }
});

t.test('a repeat has the whole time for its answer, and no more, whatever the first try said', async (t) => {
  const hints = { link: '</a.css>; rel=preload' };
  const hinting = await startCounted(t, ({ socket }, response) => {
    response.writeEarlyHints(hints, () => (socket as Socket).resetAndDestroy());
  });
  const stalling = await startCounted(t, (_request, response) => {
    const again = setInterval(() => response.writeEarlyHints(hints), 40);
    response.on('close', () => clearInterval(again));
  });
  const more = { timeouts: { firstByteMs: 400 } };
  await serve([hinting.url, stalling.url], { attempts: 1, on: ['reset'] }, more);
  t.equal((await send()).status, 504);
  t.equal(stalling.seen.length, 1);
});

t.test('what may have been acted on is never repeated', async (t) => {
  for (const [listener, status] of [
    [reset, 502],
    [failing, 503],
  ] as const) {
    const [sick, sound] = [await startCounted(t, listener), await startCounted(t, well)];
    await serve([sick.url, sound.url], { attempts: 5, on: ['connect', 'reset', '5xx'] });
    for (const [method, body] of [
      ['POST', undefined],
      ['POST', 'an order'],
      ['PATCH', undefined],
      ['PUT', 'a body that was read'],
    ] as const) {
      t.equal((await send({ method, ...(body === undefined ? {} : { body }) })).status, status, method);
    }
    t.same(sick.seen, ['POST', 'POST', 'PATCH', 'PUT']);
    t.same(sound.seen, []);
  }
});

t.test(
  'what could not be sent goes elsewhere, whatever it is, and with `connect` is tried again',
  async (t) => {
    const sound = await startCounted(t, well);
    await serve([nowhere, sound.url], null);
    t.match(await send({ method: 'POST', body: 'an order' }), { status: 200, body: 'well' });
    const before = repeats().connect!;
    await serve([nowhere], { attempts: 3, on: ['connect'] });
    t.equal((await send({ method: 'POST', body: 'an order' })).status, 502);
    t.equal(repeats().connect, before + 3);
    await serve([nowhere], { attempts: 3, on: ['reset'] });
    t.equal((await send()).status, 502);
    t.equal(repeats().connect, before + 3);
  },
);

t.test('the last answer is passed on as it is', async (t) => {
  const sick = await startCounted(t, failing);
  await serve([sick.url], { attempts: 2, on: ['5xx'] });
  t.match(await send(), { status: 503, body: 'busy' });
  t.equal(sick.seen.length, 3);
});

t.test('an answer that does not come in time is one of 5xx', async (t) => {
  const [slow, sound] = [await startCounted(t, () => {}), await startCounted(t, well)];
  await serve([slow.url, sound.url], { attempts: 1, on: ['5xx'] }, { timeouts: { firstByteMs: 100 } });
  t.match(await send(), { status: 200, body: 'well' });
});

t.test('repeats are a fifth of the requests at most', async (t) => {
  const sick = await startCounted(t, failing);
  await serve([sick.url], { attempts: 3, on: ['5xx'] });
  const before = repeats();
  for (let i = 0; i < 50; i += 1) t.equal((await send()).status, 503);
  t.ok(sick.seen.length - 50 <= 15, `${sick.seen.length} for 50`);
  t.ok(repeats().no_budget! > before.no_budget!);
});
