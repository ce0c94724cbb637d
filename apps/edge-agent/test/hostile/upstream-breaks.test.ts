import { type EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import { exchangeH2 } from './h2-exchange.ts';
import { host, startHostileEdge } from './hostile-edge.ts';
import type { RecordedRequest } from './recording-upstream.ts';

const edge = await startHostileEdge(t);
const at = `Host: ${host}\r\n`;
const plain = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What an upstream has said of an answer when it goes, and how it goes. */
const broken: { title: string; said: string; cause: string; reset?: boolean; stays?: boolean }[] = [
  {
    title: 'a body up to the end of the connection that a reset cuts',
    said: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf',
    cause: 'upstream_reset',
    reset: true,
  },
  {
    title: 'the same in HTTP/1.0',
    said: 'HTTP/1.0 200 OK\r\n\r\nhalf',
    cause: 'upstream_reset',
    reset: true,
  },
  {
    title: 'a body with a length that a reset cuts',
    said: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
    cause: 'upstream_reset',
    reset: true,
  },
  {
    title: 'a body with a length that ends too early',
    said: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
    cause: 'upstream_closed',
  },
  {
    title: 'the same on a connection that was to close',
    said: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhalf',
    cause: 'upstream_closed',
  },
  {
    title: 'chunks without the last one',
    said: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    cause: 'upstream_closed',
  },
  {
    title: 'chunks without the last one, on a connection that was to close',
    said: 'HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    cause: 'upstream_closed',
  },
  {
    title: 'chunks that a reset cuts before the last line',
    said: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n',
    cause: 'upstream_reset',
    reset: true,
  },
  {
    title: 'a chunk shorter than its size',
    said: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\na\r\nhalf',
    cause: 'upstream_closed',
  },
  {
    title: 'a size that is no number',
    said: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n',
    cause: 'upstream_body_invalid',
    stays: true,
  },
  {
    title: 'a chunk longer than its size',
    said: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n1\r\nxx\r\n0\r\n\r\n',
    cause: 'upstream_body_invalid',
    stays: true,
  },
  {
    title: 'chunks whose trailer is larger than a head may be',
    said: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`,
    cause: 'upstream_head_too_large',
    stays: true,
  },
];

/** `once` would reject for the error that comes before. */
const closed = (stream: EventEmitter) => new Promise((resolve) => stream.on('close', resolve));

/** Answers once the body is here. */
function answerWhole(request: RecordedRequest, socket: Socket): void {
  const whole = request.all('content-length').length > 0 ? /^hello$/ : /(?:^|\r\n)0\r\n\r\n$/;
  socket.on('data', function onData() {
    if (!whole.test(request.body)) return;
    socket.off('data', onData);
    socket.write(plain);
  });
}

function breakOff(socket: Socket, reset: boolean): void {
  if (reset) socket.resetAndDestroy();
  else socket.end();
}

for (const { title, said, cause, reset = false, stays = false } of broken) {
  await edge.attack(t, `never looks complete: ${title}`, async (t) => {
    let half: Socket | null = null;
    edge.upstream.on('/x', (_request, socket) => {
      half = socket;
      socket.write(said, 'latin1');
    });
    const failures = () => edge.metric('failed_exchanges_total', `cause="${cause}"`);
    const before = await failures();
    const client = await edge.raw();
    client.send(`GET /x HTTP/1.1\r\n${at}\r\n`);
    if (stays) await client.ended();
    else {
      await client.until(/half/);
      breakOff(half!, reset);
    }
    const text = await client.ended();
    t.notMatch(text, /\r\n0\r\n\r\n$/, 'no last chunk');
    t.notMatch(text, /HTTP\/1\.1 502/, 'no second answer in it');

    const session = await edge.h2();
    const stream = session.request({ ':path': '/x' });
    stream.on('error', () => {});
    stream.setEncoding('latin1');
    if (!stays) {
      await once(stream, 'data');
      breakOff(half!, reset);
    }
    stream.resume();
    await closed(stream);
    t.equal(stream.rstCode, 2, 'INTERNAL_ERROR over HTTP/2');
    t.equal((await failures()) - before, 2, `counted as ${cause}`);
  });
}

await edge.attack(t, 'a head whose body never begins reaches the client all the same', async (t) => {
  edge.upstream.on('/x', (_request, socket) => {
    socket.end('HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 10\r\n\r\n');
  });
  const client = await edge.raw();
  client.send(`POST /x HTTP/1.1\r\n${at}Content-Length: 0\r\n\r\n`);
  t.match(await client.ended(), /^HTTP\/1\.1 200 OK\r\nX-A: 1\r\nContent-Length: 10\r\n/);
});

await edge.attack(t, 'a client of HTTP/1.0 does not see a cut body end regularly', async (t) => {
  let half: Socket | null = null;
  edge.upstream.on('/x', (_request, socket) => {
    half = socket;
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'latin1');
  });
  const client = await edge.raw();
  client.send(`GET /x HTTP/1.0\r\n${at}\r\n`);
  await client.until(/half/);
  const error = once(client.socket, 'error');
  half!.end();
  t.match(await error, [{ code: 'ECONNRESET' }]);
});

// What the upstream closes as the next request arrives.
for (const how of ['closes', 'resets']) {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']) {
    await edge.attack(
      t,
      `${method} goes out once more where the upstream ${how} a kept connection`,
      async (t) => {
        const seen = new Map<number, number>();
        edge.upstream.on('/x', ({ connection, method: asked }, socket) => {
          const count = (seen.get(connection) ?? 0) + 1;
          seen.set(connection, count);
          if (count === 1) socket.write(asked === 'HEAD' ? plain.slice(0, -2) : plain);
          else if (how === 'closes') socket.end();
          else socket.resetAndDestroy();
        });
        // A HEAD leaves no kept connection behind.
        await edge.fetch('/x');
        const answer = await edge.fetch('/x', { method });
        t.equal(answer.status, 200);
        t.equal(edge.upstream.requests.length, 3, 'the first, the one that was cut, and its repetition');
      },
    );
  }
  await edge.attack(t, `POST does not, nor a request with a body, where the upstream ${how}`, async (t) => {
    const seen = new Set<number>();
    edge.upstream.on('/x', ({ connection }, socket) => {
      if (!seen.has(connection)) socket.write(plain);
      else if (how === 'closes') socket.end();
      else socket.resetAndDestroy();
      seen.add(connection);
    });
    for (const [method, body] of [
      ['POST', ''],
      ['POST', 'hello'],
      ['PUT', 'hello'],
    ] as const) {
      await edge.fetch('/x');
      const before = edge.upstream.requests.length;
      t.equal((await edge.fetch('/x', { method, body })).status, 502, method);
      t.equal(edge.upstream.requests.length - before, 1);
    }
  });
}

await edge.attack(t, 'no request goes out twice once a byte of its answer came', async (t) => {
  const seen = new Set<number>();
  edge.upstream.on('/x', ({ connection }, socket) => {
    if (!seen.has(connection)) socket.write(plain);
    else socket.end('HTTP');
    seen.add(connection);
  });
  await edge.fetch('/x');
  t.equal((await edge.fetch('/x')).status, 502);
  t.equal(edge.upstream.requests.length, 2);
});

await edge.attack(t, 'nor on a new connection that breaks', async (t) => {
  edge.upstream.on('/x', (_request, socket) => socket.end());
  t.equal((await edge.fetch('/x')).status, 502);
  const { length } = edge.upstream.requests;
  t.ok(length <= 2, `${length} requests`);
});

await edge.attack(
  t,
  'the head of an upload goes out before its first byte, over both protocols',
  async (t) => {
    edge.upstream.on('/x', answerWhole);
    edge.upstream.on('/h2', answerWhole);
    for (const framing of ['Content-Length: 5', 'Transfer-Encoding: chunked']) {
      const client = await edge.raw();
      client.send(`POST /x/${framing.length} HTTP/1.1\r\n${at}${framing}\r\n\r\n`);
      const request = await edge.upstream.next(`/x/${framing.length}`);
      t.equal(request.body, '');
      client.send(framing.startsWith('C') ? 'hello' : '5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n');
      await client.until(/ok$/);
      t.match(request.body, /hello/);
      t.equal(request.all('expect').length, 0);
    }
    const session = await edge.h2();
    const stream = session.request({ ':path': '/h2', ':method': 'POST' });
    const request = await edge.upstream.next('/h2');
    t.equal(request.body, '');
    stream.write('hel');
    stream.end('lo');
    await once(stream, 'response');
    t.match(request.body, /^3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n$|^5\r\nhello\r\n0\r\n\r\n$/);
    stream.resume();
    await closed(stream);
  },
);

await edge.attack(t, 'an upload without a byte is complete', async (t) => {
  edge.upstream.on('/x', answerWhole);
  const client = await edge.raw();
  client.send(`POST /x HTTP/1.1\r\n${at}Transfer-Encoding: chunked\r\n\r\n`);
  const request = await edge.upstream.next('/x');
  client.send('0\r\n\r\n');
  await client.until(/ok$/);
  t.equal(request.body, '0\r\n\r\n');
  const session = await edge.h2();
  const { status } = await exchangeH2(session, { ':path': '/h2', ':method': 'POST' }, '');
  t.equal(status, 200);
});

await edge.attack(t, 'an expectation is the upstream’s to meet', async (t) => {
  edge.upstream.on('/wanted', (request, socket) => {
    socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    answerWhole(request, socket);
  });
  edge.upstream.on('/refused', 'HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
  const wanted = await edge.raw();
  wanted.send(`POST /wanted HTTP/1.1\r\n${at}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
  t.match(await wanted.until(/\r\n\r\n/), /^HTTP\/1\.1 100 Continue\r\n\r\n$/);
  t.same((await edge.upstream.next('/wanted')).all('expect'), ['100-continue']);
  wanted.send('hello');
  await wanted.until(/ok$/);
  t.same(wanted.statuses, [100, 200]);

  const refused = await edge.raw();
  refused.send(`POST /refused HTTP/1.1\r\n${at}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
  await refused.until(/no$/);
  t.same(refused.statuses, [413], 'no 100 before a refusal');
  t.equal((await edge.upstream.next('/refused')).body, '');

  const session = await edge.h2();
  const stream = session.request({ ':path': '/wanted', ':method': 'POST', expect: '100-continue' });
  await once(stream, 'continue');
  stream.end('hello');
  const [headers] = await once(stream, 'response');
  t.equal(headers[':status'], 200);
  stream.resume();
  await closed(stream);
});

await edge.attack(t, 'an expectation in HTTP/1.0 has no meaning', async (t) => {
  const client = await edge.raw();
  client.send(`POST /x HTTP/1.0\r\n${at}Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello`);
  await client.ended();
  t.same(client.statuses, [200]);
  t.equal((await edge.upstream.next('/x')).all('expect').length, 0);
});
