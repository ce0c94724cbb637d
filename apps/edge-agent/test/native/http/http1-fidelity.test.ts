import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect as connectPlain, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { connectTls } from '../../connect-tls.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'a.example.com';

/** An upstream that answers each connection's first head with `answer`, to the letter, and keeps what it received. */
async function start(t: Test, answer: string) {
  const heads: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    let head = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      head += chunk;
      if (!head.endsWith('\r\n\r\n')) return;
      heads.push(head);
      head = '';
      socket.write(answer, 'latin1');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const edge = await startWorker(t);
  await edge.applied(
    await edge.serve('a', [host], [`http://127.0.0.1:${(server.address() as AddressInfo).port}`]),
  );
  const connect = () => connectTls(edge.httpsPort, { servername: host, ca: edge.root });
  return { edge, heads, connect };
}

t.test('names of fields keep their case, and values their bytes, both ways over HTTP/1.1', async (t) => {
  const { heads, connect } = await start(
    t,
    'HTTP/1.1 401 Nicht Erlaubt\r\nWWW-Authenticate: Basic realm="x"\r\nX-MiXeD: a  b\r\nETag: W/"1"\r\nContent-Length: 2\r\n\r\nno',
  );
  const socket = await connect();
  socket.write(
    `GET /X HTTP/1.1\r\nHost: ${host}\r\nX-CuStOm: One\r\nx-lower: two\r\nDNT: 1\r\nConnection: close\r\n\r\n`,
  );
  const answer = await text(socket);
  for (const line of ['WWW-Authenticate: Basic realm="x"', 'X-MiXeD: a  b', 'ETag: W/"1"']) {
    t.ok(answer.includes(`\r\n${line}\r\n`), line);
  }
  t.match(answer, /^HTTP\/1.1 401 Nicht Erlaubt\r\n/);
  for (const line of ['X-CuStOm: One', 'x-lower: two', 'DNT: 1'])
    t.ok(heads[0]!.includes(`\r\n${line}\r\n`), line);
});

const bodyOf = (message: string) => message.slice(message.indexOf('\r\n\r\n') + 4);

t.test('bytes beyond ASCII pass as they are, whatever frames the answer', async (t) => {
  // Latin-1, and UTF-8 as servers send names of files.
  const field = 'X-Name: \xe9 \xc3\xa9\r\n';
  for (const [rest, ended] of [
    ['200 OK', `Content-Length: 3\r\n${field}\r\n\xe9\x00\xff`],
    ['200 OK', `Content-Length: 40000\r\n${field}\r\n${'\xe9\x00\xff!'.repeat(10_000)}`],
    ['200 OK', `Transfer-Encoding: chunked\r\n${field}\r\n2\r\nok\r\n0\r\n\r\n`],
    ['204 No Content', `${field}\r\n`],
    ['103 Early Hints', `${field}\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`],
  ] as const) {
    const { heads, connect } = await start(t, `HTTP/1.1 ${rest}\r\n${ended}`);
    const socket = await connect();
    socket.setEncoding('latin1');
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n${field}Connection: close\r\n\r\n`, 'latin1');
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    t.ok(answer.includes(`\r\n${field}`), `${rest}: ${ended.split('\r')[0]}`);
    if (ended.startsWith('Content-Length')) t.equal(bodyOf(answer), bodyOf(ended), 'the body');
    t.ok(heads[0]!.includes(`\r\n${field}`), 'the request');
  }
});

t.test('clients of HTTP/1.0 are served: by the end of the connection, or by a length and kept', async (t) => {
  const chunked = await start(t, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n');
  const socket = await chunked.connect();
  socket.write(`GET / HTTP/1.0\r\nHost: ${host}\r\nConnection: keep-alive\r\n\r\n`);
  const answer = await text(socket);
  t.match(answer, /^HTTP\/1.1 200 OK\r\n/);
  t.notMatch(answer, /transfer-encoding/i);
  t.ok(answer.endsWith('\r\n\r\nok'), 'whole, and ended by the connection');
  t.match(chunked.heads[0], /^GET \/ HTTP\/1.1\r\n/);

  const measured = await start(t, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  const kept = await measured.connect();
  for (let i = 0; i < 2; i += 1) {
    kept.write(`GET / HTTP/1.0\r\nHost: ${host}\r\nConnection: keep-alive\r\n\r\n`);
    let received = '';
    while (!received.endsWith('ok')) received += (await once(kept, 'data'))[0];
    t.match(received, /\r\nconnection: keep-alive\r\n/i);
  }
  kept.write(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  t.match(await text(kept), /\r\n\r\nok$/, 'and closed where it is not asked for');

  const old = await connectTls(measured.edge.httpsPort, {
    servername: host,
    ca: measured.edge.root,
    ALPNProtocols: ['http/1.0'],
  });
  t.equal(old.alpnProtocol, 'http/1.0');
  old.write(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  t.match(await text(old), /\r\n\r\nok$/, 'by the name of its protocol, too, as curl --http1.0 does');

  const bare = connectPlain(measured.edge.httpPort, '127.0.0.1');
  bare.write(`GET /x HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  t.match(await text(bare), /^HTTP\/1.1 308 /, 'on port 80 as well');
});

t.test(
  'a client that is silent is asked whether it is there, on both ports',
  { skip: process.platform !== 'linux' && 'what the system does is read from its files' },
  async (t) => {
    const { edge } = await start(t, '');
    for (const port of [edge.httpsPort, edge.httpPort]) {
      const socket = connectPlain(port, '127.0.0.1');
      t.teardown(() => socket.destroy());
      await once(socket, 'connect');
      const end = (number: number | undefined) =>
        `0100007F:${number!.toString(16).toUpperCase().padStart(4, '0')}`;
      const connection = readFileSync('/proc/net/tcp', 'utf8')
        .split('\n')
        .find((line) => line.includes(`${end(port)} ${end(socket.localPort)}`));
      t.match(connection, / 01 \S+ 02:/, 'established, and the timer that runs is that of keep-alive');
    }
  },
);
