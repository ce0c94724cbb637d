import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { host, startHostileEdge } from './hostile-edge.ts';

const edge = await startHostileEdge(t, {
  timeouts: { headMs: 1_000, bodyIdleMs: 1_000, writeIdleMs: 1_000, keepAliveMs: 1_000, tunnelIdleMs: 1_000 },
  limits: { connectionsPerClient: 2_000 },
});
const at = `Host: ${host}\r\n`;

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const types = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  window: 8,
  continuation: 9,
};

function frame(type: keyof typeof types, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = types[type];
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const none = Buffer.alloc(0);
const number = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const settings = frame('settings', 0, 0, none);
const literal = (name: number, text: string) => Buffer.from([name, text.length, ...Buffer.from(text)]);
const endStream = 1;
const endHeaders = 4;
/** GET (0x82) or POST (0x83) of /, over https (RFC 7541, appendix A). */
const head = (method = 0x82) => Buffer.concat([Buffer.from([method, 0x84, 0x87]), literal(0x01, host)]);
const times = (count: number, bytes: Buffer) => Buffer.concat(Array<Buffer>(count).fill(bytes));
const streams = (count: number, of: (id: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => of(2 * index + 1)));

const floods: Record<string, Buffer> = {
  'SETTINGS without end': times(5_000, settings),
  'PINGs without end': times(5_000, frame('ping', 0, 0, Buffer.alloc(8))),
  'a head that goes on without end': Buffer.concat([
    settings,
    frame('headers', endStream, 1, head()),
    times(5_000, frame('continuation', 0, 1, Buffer.from([0x00, 1, 0x78, 1, 0x61]))),
  ]),
  'a head of empty parts': Buffer.concat([
    settings,
    frame('headers', endStream, 1, head()),
    times(5_000, frame('continuation', 0, 1, none)),
  ]),
  'a body of empty parts': Buffer.concat([
    settings,
    frame('headers', endHeaders, 1, head(0x83)),
    times(5_000, frame('data', 0, 1, none)),
  ]),
  'priorities without end': Buffer.concat([
    settings,
    times(5_000, frame('priority', 0, 1, Buffer.concat([number(0), Buffer.from([16])]))),
  ]),
  'windows of a byte': Buffer.concat([
    frame('settings', 0, 0, Buffer.from([0, 4, 0, 0, 0, 1])),
    streams(100, (id) => frame('headers', endStream | endHeaders, id, head())),
    streams(100, (id) => times(20, frame('window', 0, id, number(1)))),
  ]),
  'windows that change without end': Buffer.concat([
    streams(100, (id) => frame('headers', endStream | endHeaders, id, head())),
    times(5_000, frame('settings', 0, 0, Buffer.from([0, 4, 0, 0, 0, 1, 0, 4, 0, 0, 0, 9]))),
  ]),
  'requests that never end': Buffer.concat([
    settings,
    streams(100, (id) => frame('headers', endHeaders, id, head(0x83))),
  ]),
};

await edge.attack(t, 'floods of frames cost nobody else anything, and do not keep a session', async (t) => {
  const served = edge.fetch('/', { host: 'other.example.com' });
  for (const [title, bytes] of Object.entries(floods)) {
    for (let index = 0; index < 2; index += 1) {
      const client = await edge.raw({ servername: host, ALPNProtocols: ['h2'] });
      // Nor does it read what it is told.
      client.socket.pause();
      client.send(Buffer.concat([preface, bytes]));
    }
    t.equal((await edge.fetch('/', { host: 'other.example.com' })).status, 200, title);
  }
  t.equal((await served).status, 200);
  await waitFor(async () => (await edge.metric('http2_sessions')) === 0, {
    what: 'their sessions to be over, though none of them has ended its own',
    timeoutMs: 60_000,
  });
});

await edge.attack(t, 'a size of a chunk that never ends is no progress of a body', async (t) => {
  edge.upstream.on('/slow', () => {});
  const client = await edge.raw();
  client.send(`POST /slow HTTP/1.1\r\n${at}Transfer-Encoding: chunked\r\n\r\n1;x`);
  let over = false;
  const ended = client.ended().finally(() => {
    over = true;
  });
  while (!over) {
    client.send('x');
    await edge.fetch('/', { host: 'other.example.com' });
  }
  t.match(await ended, /^HTTP\/1\.1 408 /);
});

await edge.attack(t, 'tunnels whose client reads nothing end when nothing moves in them', async () => {
  edge.upstream.on('/tunnel', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.write(Buffer.alloc(8_000_000));
  });
  for (let index = 0; index < 10; index += 1) {
    const client = await edge.raw();
    client.send(`GET /tunnel HTTP/1.1\r\n${at}Connection: Upgrade\r\nUpgrade: echo\r\n\r\n`);
    await client.until(/101 /);
    client.socket.pause();
  }
  await waitFor(async () => (await edge.metric('tunnels')) === 0, {
    what: 'the tunnels to be over',
    timeoutMs: 60_000,
  });
});

await edge.attack(t, 'handshakes that never end leave nothing', async () => {
  const clientHello = Buffer.from([22, 3, 1, 2, 0, 1, 0]);
  const sockets = await Promise.all(
    Array.from({ length: 300 }, async () => {
      const socket = connectTcp(edge.httpsPort, '127.0.0.1').on('error', () => {});
      await once(socket, 'connect');
      socket.write(clientHello);
      return socket;
    }),
  );
  await edge.fetch('/', { host: 'other.example.com' });
  for (const socket of sockets) socket.destroy();
});
