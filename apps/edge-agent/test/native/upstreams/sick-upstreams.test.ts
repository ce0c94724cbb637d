import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { RouteHealth } from '@lockstep/contract/schemas';
import { waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { BalancedChoice } from '../../../src/native/upstreams/balanced-choice.ts';
import { UpstreamMember } from '../../../src/native/upstreams/upstream-member.ts';
import type { WatchedHealth } from '../../../src/native/upstreams/watched-health.ts';
import { fetchThrough, openThrough } from '../../fetch-through.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const edge = await startWorker(t);

const moods = ['down', 'hangs', 'resets', 'breaks', 'lies', '500', 'half head'] as const;
type Mood = (typeof moods)[number] | 'well';

/** An upstream that is as it is told to be, and counts the requests that reach it. */
async function startMoody(t: Test, name: string) {
  const sockets = new Set<Socket>();
  const moody = { mood: 'well' as Mood, requests: 0, url: '' };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    if (moody.mood === 'down') socket.resetAndDestroy();
    socket.on('data', (chunk) => {
      if (!chunk.toString('latin1').startsWith('GET /health')) moody.requests += 1;
      answer(socket, moody.mood, name);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  moody.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return moody;
}

function answer(socket: Socket, mood: Mood, name: string): void {
  const head = (length: number) => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`;
  if (mood === 'well') socket.write(`${head(name.length)}${name}`);
  else if (mood === 'resets' || mood === 'down') socket.resetAndDestroy();
  else if (mood === 'lies') socket.end(`${head(100)}short`);
  else if (mood === '500') socket.write('HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n');
  else if (mood === 'half head') socket.end('HTTP/1.1 200 OK\r\nconte');
  else if (mood === 'breaks') {
    socket.write(`${head(1_000)}half of it`);
    setImmediate(() => socket.resetAndDestroy());
  }
}

const health = RouteHealth.parse({
  active: { path: '/health', intervalMs: 100, timeoutMs: 100, healthyAfter: 1, unhealthyAfter: 1 },
  passive: { failures: 1, coolDownMs: 100 },
});
const retries = { attempts: 3, on: ['connect', 'reset', '5xx'] as ('connect' | 'reset' | '5xx')[] };
const get = () => fetchThrough({ port: edge.httpsPort, host, root: edge.root });

async function serve(...urls: string[]) {
  await edge.applied(await edge.serve('shop', [host], urls, ['/'], { health, retries }));
}

t.test('an upstream that flaps in any way fails no request that may be repeated', async (t) => {
  const [sick, sound] = [await startMoody(t, 'sick'), await startMoody(t, 'sound')];
  await serve(sick.url, sound.url);
  // The first verdict: from here on it is known to be of that kind.
  sick.mood = '500';
  await edge.found(({ url, state }) => url === sick.url && state === 'unhealthy');
  for (const mood of moods) {
    for (let round = 0; round < 2; round += 1) {
      sick.mood = 'well';
      await waitFor(async () => (await get()).body === 'sick', { what: `it to be back before it ${mood}` });
      sick.mood = mood;
      const answers = await Promise.all(Array.from({ length: 4 }, get));
      for (const { status, body } of answers) t.match([status, body], [200, /^(sound|sick)$/], mood);
    }
  }
  const { client_body_broke_off: twice = 0 } = edge.worker.figures().failures;
  t.equal(twice, 0, 'none had two answers');
});

t.test('a request that hangs is taken back when its upstream is found dead', async (t) => {
  const [sick, sound] = [await startMoody(t, 'sick'), await startMoody(t, 'sound')];
  await serve(sick.url, sound.url);
  await waitFor(async () => (await get()).body === 'sick', { what: 'both to be in turn' });
  sick.mood = 'hangs';
  const answers = await Promise.all(Array.from({ length: 4 }, get));
  t.same(
    answers.map(({ status, body }) => [status, body]),
    answers.map(() => [200, 'sound']),
  );
  // What was sent to it before the verdict is read by now.
  for (let i = 0; i < 4; i += 1) t.match(await get(), { body: 'sound' });
  const { requests } = sick;
  for (let i = 0; i < 10; i += 1) t.match(await get(), { body: 'sound' });
  t.equal(sick.requests, requests, 'and none goes there any more');
});

t.test('what an upstream that failed of late answers bit by bit is not held for long', async (t) => {
  let send = (_text: string) => {};
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1').startsWith('GET /health')) {
        socket.end('HTTP/1.1 503 Ill\r\ncontent-length: 0\r\n\r\n');
        return;
      }
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      send = (text) => socket.write(`${text.length.toString(16)}\r\n${text}\r\n`);
      send('first');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await serve(url);
  await edge.found((state) => state.url === url && state.state === 'unhealthy');
  const stream = await openThrough({ port: edge.httpsPort, host, root: edge.root });
  t.equal(String((await once(stream, 'data'))[0]), 'first');
  send('second');
  t.equal(String((await once(stream, 'data'))[0]), 'second', 'and then not at all');
  stream.destroy();
});

t.test('without retries as well, what tries an upstream after its rest is answered by another', async (t) => {
  const rests = RouteHealth.parse({ passive: { failures: 1, withinMs: 60_000, coolDownMs: 100 } });
  const more = { health: rests, balance: { policy: 'first' } } as const;
  for (const mood of ['resets', 'breaks', '500'] as const) {
    const [sick, sound] = [await startMoody(t, 'sick'), await startMoody(t, 'sound')];
    await edge.applied(await edge.serve('shop', [host], [sick.url, sound.url], ['/'], more));
    sick.mood = mood;
    await get().catch(() => {});
    await edge.found(({ url, state }) => url === sick.url && state === 'unhealthy');
    const { requests } = sick;
    const tried = async () => {
      t.match(await get(), { status: 200, body: 'sound' }, mood);
      return sick.requests > requests;
    };
    await waitFor(tried, { what: 'it to be tried again' });
    sick.mood = 'well';
    await waitFor(async () => (await get()).body === 'sick', { what: 'it to be back' });
  }
});

t.test('nothing that may be acted on twice tries an upstream after its rest, while there is another', (t) => {
  const rested = { available: true, onTrial: () => true } as unknown as WatchedHealth;
  const members = [rested, null].map(
    (watched, place) =>
      new UpstreamMember({
        place,
        identity: String(place),
        upstream: { url: `http://127.0.0.1:${place + 1}` },
        load: { inFlight: 0, credit: 0 },
        health: watched,
        slowStartMs: 0,
      }),
  );
  const options = { balance: { policy: 'first' }, sticky: null, tryAll: true } as const;
  const request = { headers: [], clientAddress: '127.0.0.1' };
  const choice = new BalancedChoice({ ...options, members });
  t.equal(choice.choose({ ...request, mayGoTwice: true }, null), 0);
  t.equal(choice.choose({ ...request, mayGoTwice: false }, null), 1);
  const alone = new BalancedChoice({ ...options, members: members.slice(0, 1) });
  t.equal(alone.choose({ ...request, mayGoTwice: false }, null), 0, 'there is none');
  t.end();
});
