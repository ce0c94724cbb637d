import { once } from 'node:events';
import type { Socket } from 'node:net';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { exchangeH2 } from './h2-exchange.ts';
import { host, startHostileEdge } from './hostile-edge.ts';

const few = { upstreamConnections: 3, upstreamPending: 2, upstreamPendingMs: 300_000 };
const edge = await startHostileEdge(t, { limits: few });
const at = `Host: ${host}\r\n`;
const plain = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Requests whose answers are up to the test. */
function holdAnswers(target: string): Socket[] {
  const held: Socket[] = [];
  edge.upstream.on(target, (_request, socket) => void held.push(socket));
  return held;
}

const open = () => edge.metric('upstream_connections');
const pending = () => edge.metric('upstream_pending');
const count = (held: Socket[], wanted: number) =>
  waitFor(async () => held.length >= wanted, { what: `${wanted} requests at the upstream` });

await edge.attack(
  t,
  'no upstream gets more connections than it may, however many requests come',
  async (t) => {
    const held = holdAnswers('/held');
    const session = await edge.h2();
    const answers = Array.from({ length: 5 }, (_, i) => exchangeH2(session, { ':path': `/held/${i}` }));
    await count(held, 3);
    await waitFor(async () => (await pending()) === 2, { what: 'two to wait' });
    t.equal(await open(), 3);
    const refused = await edge.fetch('/held/too-many');
    t.equal(refused.status, 503);
    t.equal(refused.headers['retry-after'], '1');
    t.equal(JSON.parse(refused.body).code, 'upstream_busy');
    for (let i = 0; i < 5; i += 1) {
      await count(held, i + 1);
      held[i]!.write(plain);
    }
    for (const { status } of await Promise.all(answers)) t.equal(status, 200);
    t.same(
      edge.upstream.requests.map(({ target }) => target),
      [0, 1, 2, 3, 4].map((i) => `/held/${i}`),
      'in the order in which they came',
    );
    t.ok(new Set(edge.upstream.requests.map(({ connection }) => connection)).size <= 3);
  },
);

await edge.attack(t, 'a client that goes gives up its place', async (t) => {
  const held = holdAnswers('/held');
  const clients = [];
  for (let i = 0; i < 5; i += 1) {
    const client = await edge.raw();
    client.send(`GET /held/${i} HTTP/1.1\r\n${at}\r\n`);
    clients.push(client);
  }
  await count(held, 3);
  await waitFor(async () => (await pending()) === 2, { what: 'two to wait' });
  clients[3]!.close();
  await waitFor(async () => (await pending()) === 1, { what: 'one to give up' });
  for (const client of clients.slice(0, 3)) client.close();
  await waitFor(async () => (await pending()) === 0, { what: 'the other to go on' });
  await waitFor(async () => edge.upstream.requests.length === 4, { what: 'its request to arrive' });
  held.at(-1)!.write(plain);
  await clients[4]!.until(/ok$/);
  t.notOk(edge.upstream.requests.some(({ target }) => target === '/held/3'));
});

await edge.attack(t, 'who waits long enough is told to come back', async (t) => {
  await edge.settings({ limits: { ...few, upstreamPendingMs: 50 } });
  const held = holdAnswers('/held');
  const session = await edge.h2();
  const answers = [0, 1, 2].map((i) => exchangeH2(session, { ':path': `/held/${i}` }));
  await count(held, 3);
  const waited = await edge.fetch('/held/3');
  t.equal(waited.status, 503);
  t.equal(waited.headers['retry-after'], '1');
  for (const socket of held) socket.write(plain);
  for (const { status } of await Promise.all(answers)) t.equal(status, 200);
  await edge.settings({ limits: few });
});

await edge.attack(t, 'websockets keep nobody waiting, however many are open', async (t) => {
  edge.upstream.on(
    '/ws',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi',
  );
  const clients = [];
  for (let i = 0; i < 10; i += 1) {
    const client = await edge.raw();
    client.send(`GET /ws HTTP/1.1\r\n${at}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    await client.until(/101 Switching Protocols\r\n(.|\s)*\r\n\r\nhi/);
    clients.push(client);
  }
  t.equal(await edge.metric('tunnels'), 10);
  t.equal((await edge.fetch('/after')).status, 200);
  t.ok((await open()) <= 3);
  clients[0]!.send('still open');
  await waitFor(async () => [...edge.upstream.bytes.values()].some((text) => text.endsWith('still open')), {
    what: 'them to carry on',
  });
});

await edge.attack(t, 'clients that stand still give way to those who wait', async () => {
  const large = 'x'.repeat(8_000_000);
  edge.upstream.on('/large', `HTTP/1.1 200 OK\r\nContent-Length: ${large.length}\r\n\r\n${large}`);
  edge.upstream.on('/upload', () => {});
  const [upload, reader] = await Promise.all([edge.raw(), edge.raw()]);
  upload.send(`POST /upload HTTP/1.1\r\n${at}Content-Length: 10\r\n\r\nhello`);
  reader.socket.pause();
  reader.send(`GET /large HTTP/1.1\r\n${at}\r\n`);
  const session = await edge.h2({ settings: { initialWindowSize: 0 } });
  session.request({ ':path': '/large' }).on('error', () => {});
  await waitFor(async () => edge.upstream.requests.length === 3, { what: 'all of them at the upstream' });
  await edge.settings({ limits: { ...few, upstreamPendingMs: 2_000 } });
  const served = async () => (await edge.fetch('/after')).status === 200;
  await waitFor(served, { what: 'another client to be served', timeoutMs: 30_000 });
  await edge.settings({ limits: few });
});

const impatient = { timeouts: { firstByteMs: 200, upstreamIdleMs: 1_000, tunnelIdleMs: 1_000 } };

for (const [title, between] of [
  ['', ''],
  [', whatever interim answers drip', 'HTTP/1.1 102 Processing\r\n\r\n'],
  [', whatever 100 drip', 'HTTP/1.1 100 Continue\r\n\r\n'],
] as const) {
  await edge.attack(t, `the final head has its time${title}`, async (t) => {
    await edge.settings(impatient);
    const timers = new Set<NodeJS.Timeout>();
    edge.upstream.on('/slow', (_request, socket) => {
      const timer = setInterval(() => socket.write(between), 50);
      timers.add(timer);
      socket.on('close', () => clearInterval(timer));
    });
    const before = await edge.metric('failed_exchanges_total', 'cause="upstream_timeout_first_byte"');
    const client = await edge.raw();
    client.send(`GET /slow HTTP/1.1\r\n${at}\r\n`);
    await client.until(/ 504 /);
    const session = await edge.h2();
    t.equal((await exchangeH2(session, { ':path': '/slow' })).status, 504);
    t.equal((await exchangeH2(session, { ':path': '/slow', ':method': 'POST' }, 'hello')).status, 504);
    t.equal((await edge.metric('failed_exchanges_total', 'cause="upstream_timeout_first_byte"')) - before, 3);
    for (const timer of timers) clearInterval(timer);
  });
}

await edge.attack(t, 'a head that drips has the same time', async (t) => {
  await edge.settings(impatient);
  edge.upstream.on('/slow', (_request, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nX: ');
    const timer = setInterval(() => socket.write('a'), 50);
    socket.on('close', () => clearInterval(timer));
  });
  t.equal((await edge.fetch('/slow')).status, 504);
});

await edge.attack(t, 'a body that does not get on is broken off, and does not look complete', async (t) => {
  await edge.settings(impatient);
  edge.upstream.on('/length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
  edge.upstream.on('/chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
  const session = await edge.h2();
  const cut = ['/length', '/chunked'].flatMap((path) => [
    edge.raw().then(async (client) => {
      client.send(`GET ${path} HTTP/1.1\r\n${at}\r\n`);
      t.notMatch(await client.ended(), /0\r\n\r\n$/);
    }),
    exchangeH2(session, { ':path': path }).then(({ body, rstCode }) => {
      t.equal(body, 'half');
      t.equal(rstCode, 2);
    }),
  ]);
  await Promise.all(cut);
  t.equal(await edge.metric('failed_exchanges_total', 'cause="upstream_timeout_body"'), 4);
});

await edge.attack(t, 'a websocket where nobody says anything is closed', async () => {
  await edge.settings(impatient);
  const closed = new Promise((resolve) => {
    edge.upstream.on('/ws', (_request, socket) => {
      socket.on('close', resolve);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
  });
  const client = await edge.raw();
  client.send(`GET /ws HTTP/1.1\r\n${at}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  await client.ended();
  await closed;
});

await edge.attack(t, 'an upload that the upstream does not take has its time', async (t) => {
  await edge.settings(impatient);
  edge.upstream.on('/full', (_request, socket) => void socket.pause());
  const session = await edge.h2();
  const stream = session.request({ ':path': '/full', ':method': 'POST' });
  stream.on('error', () => {});
  const answered = once(stream, 'response');
  stream.write(Buffer.alloc(8_000_000));
  const [headers] = await answered;
  t.equal(headers[':status'], 504);
  stream.close();
});
