import { connect as connectTcp } from 'node:net';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { host, startHostileEdge } from './hostile-edge.ts';

const timeouts = { headMs: 1_500, bodyIdleMs: 1_500, writeIdleMs: 1_500, keepAliveMs: 1_500 };
const edge = await startHostileEdge(t, { timeouts });
const h = `Host: ${host}\r\n`;
const u = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
const cut = (reason: string) => edge.metric('cut_connections_total', `reason="${reason}"`);

await edge.attack(
  t,
  'clients that go while something is under way leave nothing, wherever it stands',
  async (t) => {
    edge.upstream.on('/slow', () => {});
    edge.upstream.on('/begun', (_request, socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab');
    });
    edge.upstream.on('/ws', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
    for (const bytes of [
      `GET /slow HTTP/1.1\r\n${h}\r\n`,
      `GET /begun HTTP/1.1\r\n${h}\r\n`,
      `POST /slow HTTP/1.1\r\n${h}Content-Length: 10\r\n\r\nhello`,
      `POST /slow HTTP/1.1\r\n${h}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n`,
      `GET /slow HTTP/1.1\r\n${h}\r\n`.repeat(500),
      `GET /slow HTTP/1.1\r\n${h}\r\nGET / HTTP/1.1\r\n${h}${u}\r\n`,
      `GET /slow HTTP/1.1\r\n${h}${u}\r\n`,
      `GET /ws HTTP/1.1\r\n${h}${u}\r\nbytes`,
      `GET /slow HTTP/1.1\r\n${h}\r\nCONNECT x:1 HTTP/1.1\r\n${h}\r\nbytes`,
      `GET /slow HTTP/1.1\r\n${h}\r\n\0`,
    ]) {
      for (const leave of ['reset', 'close'] as const) {
        const client = await edge.raw();
        const before = edge.upstream.requests.length;
        client.send(bytes);
        await waitFor(() => edge.upstream.requests.length > before, {
          what: 'the request',
          timeoutMs: 30_000,
        });
        client[leave]();
      }
    }
    const session = await edge.h2();
    for (const path of ['/slow', '/begun', '/large']) {
      for (let i = 0; i < 30; i += 1) session.request({ ':path': path }).on('error', () => {});
    }
    await edge.upstream.next('/slow');
    session.destroy();
    t.pass();
  },
);

await edge.attack(t, 'a body that is announced for an answer of the edge itself harms nobody', async (t) => {
  for (const [fields, body] of [
    ['Content-Length: 5\r\n', 'hello'],
    ['Content-Length: 5\r\n', 'hel'],
    ['Content-Length: 50000000\r\n', 'x'.repeat(100_000)],
    ['Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n'],
    ['Transfer-Encoding: chunked\r\n', 'nonsense'],
    ['Expect: 100-continue\r\nContent-Length: 5\r\n', ''],
    ['Expect: 100-continue\r\nContent-Length: 5\r\n', 'hello'],
  ] as const) {
    const client = await edge.raw();
    client.send(`POST / HTTP/1.1\r\nHost: nope.example.com\r\n${fields}\r\n${body}`);
    await client.ended();
    t.equal(client.statuses[0], 404, fields);
    t.notOk(client.statuses.includes(100), 'nobody is asked for a body that is not wanted');
  }
});

await edge.attack(t, 'heads that come byte by byte, or stop, are ended in time on both ports', async (t) => {
  const drip = async (write: (byte: string) => void, over: () => boolean) => {
    for (const byte of `GET / HTTP/1.1\r\nX: ${'a'.repeat(1_000)}`) {
      if (over()) return;
      write(byte);
      await edge.fetch('/', { host: 'other.example.com' });
    }
  };
  const client = await edge.raw();
  let plainOver = false;
  let plainAnswer = '';
  const plain = connectTcp(edge.httpPort, '127.0.0.1').on('error', () => {});
  plain.on('data', (chunk) => {
    plainAnswer += chunk;
  });
  plain.on('close', () => {
    plainOver = true;
  });
  await Promise.all([
    drip(
      (byte) => client.send(byte),
      () => client.received !== '',
    ),
    drip(
      (byte) => plain.write(byte),
      () => plainOver || plainAnswer !== '',
    ),
  ]);
  t.match(await client.ended(), /^HTTP\/1\.1 408 /);
  t.match(plainAnswer, /^HTTP\/1\.1 408 /);
  plain.destroy();
});

await edge.attack(
  t,
  'a client of port 80 that pipelines without end and reads nothing is ended',
  async () => {
    const before = await cut('idle');
    const socket = connectTcp(edge.httpPort, '127.0.0.1').on('error', () => {});
    socket.pause();
    const flood = `GET / HTTP/1.1\r\n${h}\r\n`.repeat(1_000);
    for (let i = 0; i < 200; i += 1) socket.write(flood);
    // At once where more was read than can be queued, else once it has stalled for its time.
    await waitFor(async () => socket.destroyed || (await cut('idle')) > before, { what: 'it to be ended' });
    socket.destroy();
  },
);

await edge.attack(
  t,
  'a client that pipelines without end and reads nothing holds nobody up, and is ended',
  async () => {
    const body = 'x'.repeat(2_000_000);
    edge.upstream.on('/large', `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    const before = await cut('stalled_reader');
    const client = await edge.raw();
    client.socket.pause();
    const flood = `GET /large HTTP/1.1\r\n${h}\r\n`.repeat(500);
    for (let i = 0; i < 50; i += 1) client.send(flood);
    await waitFor(async () => (await cut('stalled_reader')) > before, {
      what: 'it to be ended',
      timeoutMs: 60_000,
    });
  },
);
