import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { host, startHostileEdge } from './hostile-edge.ts';

const edge = await startHostileEdge(t);
const h = `Host: ${host}\r\n`;
const u = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
const get = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\n${h}${fields}\r\n`;

/** Answers to `/slow…` wait until this is called; others go out at once. */
function slowly(): { go(): void } {
  const waiting: (() => void)[] = [];
  edge.upstream.on('/slow', ({ target }, socket) => {
    waiting.push(() => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`));
  });
  return { go: () => void waiting.splice(0).map((answer) => answer()) };
}

const parts = { begun: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab', rest: 'cdefghij' };

await edge.attack(t, 'a pipelined upgrade waits for no process to die: answers come in order', async (t) => {
  const client = await edge.raw();
  client.send(`GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n${u}\r\n`);
  await client.until(/404[\s\S]*404 /);
  t.same(client.statuses, [404, 404]);
});

for (const [title, second] of [
  ['an upgrade', `GET /fast HTTP/1.1\r\n${h}${u}\r\n`],
  ['an upgrade whose body is not complete', `POST /fast HTTP/1.1\r\n${h}${u}Content-Length: 10\r\n\r\nx`],
  [
    'an upgrade with a chunked body',
    `POST /fast HTTP/1.1\r\n${h}${u}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`,
  ],
  ['an upgrade that no route takes', `GET / HTTP/1.1\r\nHost: nope.example.com\r\n${u}\r\n`],
  ['a CONNECT', `CONNECT ${host}:443 HTTP/1.1\r\n${h}\r\n`],
  ['an upgrade of HTTP/1.0', `GET /fast HTTP/1.0\r\n${h}${u}\r\n`],
  ['two upgrades', `GET /fast HTTP/1.1\r\n${h}${u}\r\nGET /fast HTTP/1.1\r\n${h}${u}\r\n`],
  ['an upgrade and bytes', `GET /fast HTTP/1.1\r\n${h}${u}\r\n\x81\x05hello`],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['bytes that are no HTTP', '\x00\x01\x02\r\n\r\n'],
  ['a head over the limit', get('/', `X: ${'a'.repeat(60_000)}\r\n`)],
] as const) {
  await edge.attack(t, `the first answer comes first, whatever comes behind it: ${title}`, async (t) => {
    const slow = slowly();
    const client = await edge.raw();
    client.send(get('/slow/1') + second);
    await edge.upstream.next('/slow/1');
    t.equal(await edge.fetch('/').then(({ status }) => status), 200);
    t.equal(client.received, '', 'nothing is sent before it');
    slow.go();
    await client.until(/\/slow\/1/);
    t.match(client.received, /^HTTP\/1\.1 200 OK\r\n[\s\S]*?\r\n\r\n\/slow\/1/);
  });

  await edge.attack(t, `nothing is written into a running answer: ${title}`, async (t) => {
    const running = Promise.withResolvers<() => void>();
    edge.upstream.on('/running', (_request, socket) => {
      socket.write(parts.begun);
      running.resolve(() => socket.write(parts.rest));
    });
    const client = await edge.raw();
    client.send(get('/running'));
    await client.until(/\r\n\r\nab$/);
    client.send(second);
    t.equal(await edge.fetch('/').then(({ status }) => status), 200);
    t.match(client.received, /\r\n\r\nab$/);
    (await running.promise)();
    await client.until(/\r\n\r\nabcdefghij/);
  });
}

await edge.attack(
  t,
  'a parse error behind an unanswered request is answered after it, and ends the connection',
  async (t) => {
    const slow = slowly();
    const client = await edge.raw();
    client.send(`POST /slow/1 HTTP/1.1\r\n${h}Content-Length: 2\r\n\r\nhi`);
    await edge.upstream.next('/slow/1');
    client.send('\x00\r\n\r\n');
    t.equal(await edge.fetch('/').then(({ status }) => status), 200);
    slow.go();
    await client.ended();
    t.same(client.statuses, [200, 400]);
  },
);

await edge.attack(t, 'a body that breaks its framing ends its own exchange, with 400', async (t) => {
  slowly();
  const client = await edge.raw();
  client.send(`POST /slow/1 HTTP/1.1\r\n${h}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n`);
  await edge.upstream.next('/slow/1');
  client.send('nonsense\r\n');
  await client.ended();
  t.same(client.statuses, [400]);
});

await edge.attack(t, 'a refused upgrade ends its connection, with bytes behind it or without', async (t) => {
  edge.upstream.on('/refused', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
  for (let i = 0; i < 40; i += 1) {
    const client = await edge.raw();
    const [target, name] = i % 2 === 0 ? ['/x', 'nope.example.com'] : ['/refused', host];
    client.send(`GET ${target} HTTP/1.1\r\nHost: ${name}\r\n${u}\r\n${i % 4 < 2 ? 'X' : ''}`);
    const answer = await client.ended();
    t.match(answer, i % 2 === 0 ? /^HTTP\/1\.1 404 / : /^HTTP\/1\.1 403 [\s\S]*no$/);
    client.close();
  }
});

await edge.attack(t, 'a refused upgrade whose client never ends is cut off', async () => {
  const client = await edge.raw({ servername: host, allowHalfOpen: true } as never);
  client.send(`GET /x HTTP/1.1\r\nHost: nope.example.com\r\n${u}\r\nX`);
  await client.ended();
  await waitFor(async () => (await edge.metric('connections')) <= 1, {
    what: 'it to be cut off',
    timeoutMs: 30_000,
  });
});

await edge.attack(t, 'a refused upgrade whose answer is large arrives whole', async (t) => {
  const body = 'x'.repeat(3_000_000);
  edge.upstream.on('/large', `HTTP/1.1 403 Forbidden\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  const client = await edge.raw();
  client.send(`GET /large HTTP/1.1\r\n${h}${u}\r\n`);
  const answer = await client.ended();
  t.equal(answer.length - answer.indexOf('\r\n\r\n') - 4, body.length);
});

await edge.attack(
  t,
  'one connection takes one connection of an upstream, however much is pipelined',
  async (t) => {
    const slow = slowly();
    const client = await edge.raw();
    const before = edge.upstream.opened;
    client.send(Array.from({ length: 2_000 }, (_, i) => get(`/slow/${i}`)).join(''));
    await edge.upstream.next('/slow/0');
    t.equal(await edge.fetch('/').then(({ status }) => status), 200);
    t.ok(edge.upstream.opened - before <= 2);
    t.equal(edge.upstream.requests.filter(({ target }) => target.startsWith('/slow')).length, 1);
    const answering = setInterval(slow.go, 0);
    t.teardown(() => clearInterval(answering));
    await client.until(/\/slow\/1999$/);
    clearInterval(answering);
    const order = [...client.received.matchAll(/\r\n\r\n\/slow\/(\d+)/g)].map(([, number]) => Number(number));
    t.same(
      order,
      Array.from({ length: 2_000 }, (_, i) => i),
    );
    t.ok(edge.upstream.opened - before <= 2);
  },
);

await edge.attack(t, 'what follows the last request of a connection is ignored', async (t) => {
  for (const [head, rest] of [
    [`POST / HTTP/1.1\r\n${h}Connection: close\r\nContent-Length: 2\r\n\r\nhi`, get('/')],
    [`POST / HTTP/1.1\r\n${h}Connection: close\r\nContent-Length: 2\r\n\r\nhi`, 'xx'],
    [`GET / HTTP/1.1\r\n${h}Connection: close\r\n\r\n`, '\x00\x01'],
    [`GET / HTTP/1.0\r\n${h}\r\n`, get('/')],
    [`POST / HTTP/1.0\r\n${h}Content-Length: 2\r\n\r\nhi`, 'xx'],
  ] as const) {
    const client = await edge.raw();
    client.send(head + rest);
    const answer = await client.ended();
    t.same(client.statuses, [200], head);
    t.match(answer, /ok$/);
  }
});

await edge.attack(
  t,
  'an answer that the edge makes itself keeps the connection where what follows is clear',
  async (t) => {
    const client = await edge.raw();
    const unrouted = 'Host: nope.example.com\r\n';
    client.send(`GET / HTTP/1.1\r\n${unrouted}\r\n`);
    await client.until(/404 [\s\S]*"instance"/);
    client.send(`POST / HTTP/1.1\r\n${unrouted}Content-Length: 5\r\n\r\nhello`);
    await client.until(/404 [\s\S]*404 [\s\S]*"instance"/);
    client.send(get('/'));
    await client.until(/ok$/);
    client.send(get('/x%zz'));
    await client.until(/ok[\s\S]*400 [\s\S]*"instance"/);
    client.send(get('/'));
    await client.until(/400 [\s\S]*ok$/);
    t.same(client.statuses, [404, 404, 200, 400, 200]);
    t.notMatch(client.received, /connection: close/i);
    client.send(`POST / HTTP/1.1\r\n${unrouted}Content-Length: 500000\r\n\r\nhello`);
    t.match(await client.ended(), /404 [\s\S]*connection: close[\s\S]*$/i);
  },
);

await edge.attack(t, 'a client that resets right after an error leaves nothing', async (t) => {
  for (let i = 0; i < 100; i += 1) {
    const client = await edge.raw();
    client.send(i % 2 === 0 ? `GET / HTTP/1.1\r\nHost: nope.example.com\r\n\r\n` : '\x00\r\n\r\n');
    if (i % 3 === 0) await client.until(/HTTP/);
    client.reset();
  }
  t.pass();
});

await edge.attack(t, 'what comes wrong behind a request in one packet has its own answer', async (t) => {
  for (const [behind, status] of [
    ['\x00\r\n\r\n', 400],
    ['GET / HTTP/1.1\n\r\n', 400],
    [`GET / RTSP/1.0\r\n${h}\r\n`, 400],
    [`DESCRIBE / RTSP/1.0\r\n${h}\r\n`, 400],
    [`BREW /pot HTTP/1.1\r\n${h}\r\n`, 501],
    [`GET / HTTP/3.0\r\n${h}\r\n`, 505],
    [get(`/${'a'.repeat(9_000)}`), 414],
    [get('/', `X: ${'a'.repeat(60_000)}\r\n`), 431],
  ] as const) {
    const client = await edge.raw();
    client.send(get('/') + behind);
    await client.until(/200 [\s\S]*"instance"/);
    t.same(client.statuses, [200, status], behind.slice(0, 20));
  }
});

await edge.attack(t, 'an expectation keeps the connection where it is clear what comes next', async (t) => {
  const client = await edge.raw();
  client.send(get('/', 'Expect: 100-continue\r\n'));
  await client.until(/ok$/);
  client.send(`POST / HTTP/1.1\r\n${h}Expect: 100-continue\r\nContent-Length: 0\r\n\r\n`);
  await client.until(/(ok[\s\S]*){2}$/);
  client.send(get('/', 'Expect: x\r\n'));
  await client.until(/417 [\s\S]*"instance"/);
  client.send(`POST / HTTP/1.1\r\n${h}Expect: x\r\nContent-Length: 5\r\n\r\nhello${get('/')}`);
  await client.until(/417 [\s\S]*417 [\s\S]*ok$/);
  const slow = slowly();
  client.send(`POST /slow HTTP/1.1\r\n${h}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`);
  await waitFor(() => edge.upstream.requests.at(-1)?.body === 'hello', { what: 'the body to arrive' });
  slow.go();
  await client.until(/\/slow$/);
  client.send(get('/'));
  await client.until(/\/slow[\s\S]*ok$/);
  t.same(client.statuses, [200, 200, 417, 417, 200, 200, 200]);
  t.notMatch(client.received, /connection: close/i);
  const refused = await edge.raw();
  refused.send(`POST /x%zz HTTP/1.1\r\n${h}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
  t.match(await refused.ended(), /^HTTP\/1\.1 400 /, 'but not where a body may come or not');
});

await edge.attack(t, 'a trailer counts as a head does, and what is answered stays answered', async (t) => {
  const begin = `POST /up HTTP/1.1\r\n${h}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n`;
  const large = { bytes: `X: ${'a'.repeat(20_000)}\r\n`, fields: 'X: a\r\n'.repeat(300) };
  edge.upstream.on('/up', () => {});
  for (const trailer of Object.values(large)) {
    const client = await edge.raw();
    client.send(`${begin}${trailer}\r\n`);
    await client.until(/"instance"/);
    client.send(get('/'));
    await client.until(/ok$/);
    t.same(client.statuses, [431, 200]);
  }
  const endless = await edge.raw();
  endless.send(`${begin}X: ${'a'.repeat(90_000)}`);
  await endless.ended();
  t.same(endless.statuses, [431]);
  edge.upstream.on('/up', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  const small = await edge.raw();
  small.send(`${begin}X: ${'a'.repeat(10_000)}\r\n\r\n${get('/')}`);
  await small.until(/ok[\s\S]*ok$/);
  const early = await edge.raw();
  early.send(begin);
  await early.until(/ok$/);
  early.send(`X: ${'a'.repeat(90_000)}`);
  await early.ended();
  t.same(early.statuses, [200], 'nothing comes after a complete answer');
  const running = await edge.raw();
  edge.upstream.on('/up', parts.begun);
  running.send(begin);
  await running.until(/ab$/);
  running.send('nonsense\r\n\r\n');
  t.match(await running.ended(), /^HTTP\/1\.1 200 [\s\S]*ab$/);
});
