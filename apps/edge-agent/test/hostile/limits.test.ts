import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { exchangeH2 } from './h2-exchange.ts';
import { host, startHostileEdge } from './hostile-edge.ts';
import { connectRaw } from './raw-client.ts';

const timeouts = { headMs: 1_500, bodyIdleMs: 1_500, writeIdleMs: 1_500, keepAliveMs: 1_500 };
const edge = await startHostileEdge(t, { timeouts });
const h = `Host: ${host}\r\n`;

/** The answer's status; 0 for a stream that was reset without one. */
async function statusOver(protocol: 'h1' | 'h2', path: string, fields: [string, string][]): Promise<number> {
  if (protocol === 'h2') {
    const headers = Object.fromEntries(fields.map(([name, value]) => [name, value]));
    return (
      await exchangeH2(await edge.h2({ maxSendHeaderBlockLength: 1_000_000 }), { ':path': path, ...headers })
    ).status;
  }
  const client = await edge.raw();
  client.send(
    `GET ${path} HTTP/1.1\r\n${h}${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  );
  await client.until(/HTTP\/1\.1 \d+/);
  return client.statuses[0]!;
}

for (const protocol of ['h1', 'h2'] as const) {
  await edge.attack(t, `${protocol}: heads have the same limits, each with its own answer`, async (t) => {
    const before = await edge.metric('refused_requests_total', 'reason="head_too_large"');
    t.equal(await statusOver(protocol, '/', [['x', 'a'.repeat(15_000)]]), 200);
    t.equal(await statusOver(protocol, '/', [['x', 'a'.repeat(20_000)]]), 431);
    t.equal(await statusOver(protocol, '/', [['x', 'a'.repeat(60_000)]]), 431);
    const fields = (count: number) =>
      Array.from({ length: count }, (_, i): [string, string] => [`x${i}`, '1']);
    t.equal(await statusOver(protocol, '/', fields(200)), 200);
    t.equal(await statusOver(protocol, '/', fields(300)), 431);
    t.equal(await statusOver(protocol, `/${'a'.repeat(8_000)}`, []), 200);
    t.equal(await statusOver(protocol, `/${'a'.repeat(8_300)}`, []), 414);
    t.equal(await statusOver(protocol, `/?${'a'.repeat(20_000)}`, []), 414);
    t.equal(await statusOver(protocol, `/${'a'.repeat(40_000)}`, []), 414);
    t.equal(await edge.metric('refused_requests_total', 'reason="head_too_large"'), before + 3);
  });
}

await edge.attack(t, 'over HTTP/2, a trailer counts as a head does', async (t) => {
  edge.upstream.on('/up', () => {});
  const session = await edge.h2();
  for (const trailer of [
    { x: 'a'.repeat(20_000) },
    Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x${i}`, '1'])),
  ]) {
    const stream = session.request({ ':path': '/up', ':method': 'POST' }, { waitForTrailers: true });
    stream.on('error', () => {});
    stream.on('wantTrailers', () => stream.sendTrailers(trailer));
    stream.end('hi');
    const status = await new Promise((resolve) => stream.on('response', (head) => resolve(head[':status'])));
    stream.resume();
    t.equal(status, 431);
  }
});

await edge.attack(t, 'limits are settable while the edge runs', async (t) => {
  await edge.settings({ timeouts, limits: { headBytes: 32_768, targetBytes: 16_384 } });
  for (const protocol of ['h1', 'h2'] as const) {
    t.equal(await statusOver(protocol, '/', [['x', 'a'.repeat(20_000)]]), 200);
    t.equal(await statusOver(protocol, `/${'a'.repeat(16_000)}`, []), 200);
  }
  await edge.settings({ timeouts });
  t.equal(await statusOver('h1', '/', [['x', 'a'.repeat(20_000)]]), 431);
});

await edge.attack(
  t,
  'a field that HPACK repeats counts in full: nothing of it reaches the upstream',
  async (t) => {
    const session = await edge.h2({ maxSendHeaderBlockLength: 1_000_000 });
    const big = 'b'.repeat(3_900);
    t.equal((await exchangeH2(session, { ':path': '/', x: big })).status, 200);
    const before = edge.upstream.requests.length;
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => exchangeH2(session, { ':path': '/', cookie: Array(30).fill(big) })),
    );
    t.same([...new Set(answers.map(({ status }) => status))], [431]);
    t.equal(edge.upstream.requests.length, before);
  },
);

await edge.attack(t, 'a cookie that a browser splits is one field', async (t) => {
  const crumbs = Array.from({ length: 500 }, (_, i) => `c${i}=1`);
  t.equal((await exchangeH2(await edge.h2(), { ':path': '/', cookie: crumbs })).status, 200);
  t.same(edge.upstream.requests.at(-1)!.all('cookie'), [crumbs.join('; ')]);
});

await edge.attack(
  t,
  'over HTTP/1.1, clients that let something go past its time are cut off, each with its answer',
  async (t) => {
    const body = 'x'.repeat(30_000_000);
    edge.upstream.on('/large', (_request, socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
    edge.upstream.on('/upload', () => {});
    const [head, noBody, half, chunked, reader, idle, silent] = await Promise.all(
      Array.from({ length: 7 }, () => edge.raw()),
    );
    head!.send('GET / HTTP/1.1\r\nHost: a.exa');
    noBody!.send(`POST /upload HTTP/1.1\r\n${h}Content-Length: 10\r\n\r\n`);
    half!.send(`POST /upload HTTP/1.1\r\n${h}Content-Length: 10\r\n\r\nhello`);
    chunked!.send(`POST /upload HTTP/1.1\r\n${h}Transfer-Encoding: chunked\r\n\r\n5\r\nhel`);
    reader!.send(`GET /large HTTP/1.1\r\n${h}\r\n`);
    reader!.socket.pause();
    idle!.send(`GET / HTTP/1.1\r\n${h}\r\n`);
    t.match(await head!.ended(), /^HTTP\/1\.1 408 /);
    for (const client of [noBody!, half!, chunked!]) t.match(await client.ended(), /^HTTP\/1\.1 408 /);
    t.match(await idle!.ended(), /^HTTP\/1\.1 200 [\s\S]*ok$/, 'an idle connection is closed without a word');
    t.equal(await silent!.ended(), '', 'and so is one that never said anything');
    await waitFor(async () => (await edge.metric('cut_connections_total', 'reason="stalled_reader"')) === 1, {
      what: 'the reader to be cut off',
      timeoutMs: 30_000,
    });
    t.equal(await edge.metric('refused_requests_total', 'reason="body_timeout"'), 3);
  },
);

await edge.attack(t, 'over HTTP/2 as well', async (t) => {
  const body = 'x'.repeat(30_000_000);
  edge.upstream.on('/large', (_request, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  edge.upstream.on('/upload', () => {});
  const session = await edge.h2();
  const post = session.request({ ':path': '/upload', ':method': 'POST' });
  post.on('error', () => {});
  post.write('hello');
  const answered = new Promise<number>((resolve) =>
    post.on('response', (headers) => resolve(Number(headers[':status']))),
  );
  const reader = session.request({ ':path': '/large' });
  reader.on('error', () => {});
  reader.pause();
  const reset = new Promise<number>((resolve) => reader.on('close', () => resolve(reader.rstCode)));
  reader.on('response', () => {});
  const pings = setInterval(() => session.destroyed || session.ping(() => {}), 100);
  t.teardown(() => clearInterval(pings));
  t.equal(await answered, 408);
  t.not(await reset, 0);
  // No stream is open any more; PINGs do not keep the session.
  await waitFor(async () => (await edge.metric('http2_sessions')) === 0, {
    what: 'the session to be ended',
    timeoutMs: 30_000,
  });
  clearInterval(pings);
});

await edge.attack(t, 'clients that get on slowly are served', async (t) => {
  edge.upstream.on('/upload', (request, socket) => {
    socket.on('data', () => {
      if (request.body.endsWith('0\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  const client = await edge.raw();
  client.send(`POST /upload HTTP/1.1\r\n${h}Transfer-Encoding: chunked\r\n\r\n`);
  const session = await edge.h2();
  const stream = session.request({ ':path': '/upload', ':method': 'POST' });
  const status = new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])));
  // As long in all as an upload that stands still would not be borne; a part after each request of somebody else.
  for (const began = performance.now(); performance.now() - began < 1.5 * timeouts.bodyIdleMs; ) {
    client.send('3\r\nxxx\r\n');
    stream.write('xxx');
    await edge.fetch('/', { host: 'other.example.com' });
  }
  client.send('0\r\n\r\n');
  stream.end();
  await client.until(/200 [\s\S]*ok$/);
  t.equal(await status, 200);
});

await edge.attack(t, 'HTTP/2 that never begins, or whose head never ends, is cut off', async (t) => {
  const silent = await edge.raw({ servername: host, ALPNProtocols: ['h2'] });
  const half = await edge.raw({ servername: host, ALPNProtocols: ['h2'] });
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  // HEADERS of stream 1 without END_HEADERS: `:method: GET`, and no CONTINUATION.
  const headers = Buffer.from([0, 0, 1, 1, 0x01, 0, 0, 0, 1, 0x82]);
  half.send(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings, headers]));
  await silent.ended();
  await half.ended();
  t.ok((await edge.metric('cut_connections_total', 'reason="no_preface"')) >= 1);
});

await edge.attack(t, 'a client that breaks streams off without end is told to go', async (t) => {
  edge.upstream.on('/slow', () => {});
  const session = await edge.h2();
  const gone = new Promise<number>((resolve) => session.on('goaway', resolve));
  const closed = new Promise((resolve) => session.on('close', resolve));
  const before = edge.upstream.opened;
  for (let i = 0; i < 600 && !session.destroyed; i += 1) {
    const stream = session.request({ ':path': '/slow' });
    stream.on('error', () => {});
    await new Promise((resolve) => setImmediate(resolve));
    stream.close(8);
    if (i % 20 === 0) await edge.metric('http2_sessions');
  }
  t.equal(await gone, 11, 'ENHANCE_YOUR_CALM');
  await closed;
  t.ok(edge.upstream.opened - before <= 60, 'most of them were broken off before an upstream heard of them');
  t.equal(await edge.metric('cut_connections_total', 'reason="resets"'), 1);
});

await edge.attack(t, 'connections are limited by client, and in all', async (t) => {
  await edge.settings({
    timeouts: { ...timeouts, keepAliveMs: 60_000, headMs: 60_000 },
    limits: { connectionsPerClient: 5 },
  });
  const open = await Promise.all(Array.from({ length: 5 }, () => edge.raw()));
  await t.rejects(connectRaw(edge.httpsPort, { servername: host, ca: edge.root }));
  const plain = connectTcp(edge.httpPort, '127.0.0.1');
  await new Promise((resolve) => plain.on('close', resolve).on('error', () => {}));
  t.ok((await edge.metric('cut_connections_total', 'reason="too_many_of_client"')) >= 2);
  open[0]!.close();
  await waitFor(
    () => connectRaw(edge.httpsPort, { servername: host, ca: edge.root }).then((one) => one.close() ?? true),
    {
      what: 'there to be room again',
      timeoutMs: 30_000,
    },
  );
  for (const one of open) one.close();
  await edge.settings({ timeouts });
});

await edge.attack(
  t,
  'descriptors that run out are seen, in the metrics and at /readyz, and given back',
  async () => {
    const used = readdirSync(`/proc/${edge.workerPid}/fd`).length;
    const soft = (limit: string) =>
      execFileSync('prlimit', ['--pid', String(edge.workerPid), `--nofile=${limit}:`]);
    const [, before] = /^Max open files\s+(\d+)/m.exec(
      readFileSync(`/proc/${edge.workerPid}/limits`, 'utf8'),
    )!;
    soft(String(used + 3));
    const sockets = Array.from({ length: 10 }, () =>
      connectTcp(edge.httpsPort, '127.0.0.1').on('error', () => {}),
    );
    await waitFor(async () => (await edge.metric('cut_connections_total', 'reason="no_descriptors"')) > 0, {
      what: 'the edge to notice',
      timeoutMs: 30_000,
    });
    await waitFor(async () => (await fetch(`http://127.0.0.1:${edge.adminPort}/readyz`)).status === 503, {
      what: '/readyz to say so',
      timeoutMs: 60_000,
      intervalMs: 500,
    });
    soft(before!);
    for (const socket of sockets) socket.destroy();
    await waitFor(async () => (await fetch(`http://127.0.0.1:${edge.adminPort}/readyz`)).status === 200, {
      what: '/readyz to be well again',
      timeoutMs: 60_000,
      intervalMs: 500,
    });
  },
);
