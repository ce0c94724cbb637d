import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import t from 'tap';
import { connectTls } from '../connect-tls.ts';
import { fetchPlain } from '../fetch-plain.ts';
import { host, startHostileEdge } from './hostile-edge.ts';

const edge = await startHostileEdge(t);
const options = { servername: host, ca: edge.root };

await edge.attack(t, 'TLS 1.2 has suites that authenticate what they encrypt, and no others', async (t) => {
  const old = { ...options, maxVersion: 'TLSv1.2' } as const;
  for (const ciphers of [
    'ECDHE-ECDSA-AES128-SHA',
    'ECDHE-ECDSA-AES256-SHA384',
    'ECDHE-ECDSA-AES128-SHA256',
    'ECDHE-ECDSA-AES128-CCM',
    'ECDHE-ECDSA-AES256-CCM8',
    'ECDHE-ARIA128-GCM-SHA256',
    'ECDHE-ECDSA-ARIA128-GCM-SHA256',
    'ECDHE-ECDSA-CAMELLIA128-SHA256',
    'AES128-GCM-SHA256',
    'NULL',
  ]) {
    await t.rejects(
      connectTls(edge.httpsPort, { ...old, ciphers: `${ciphers}:@SECLEVEL=0` }),
      { message: /./ },
      ciphers,
    );
  }
  for (const ciphers of ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305']) {
    const socket = await connectTls(edge.httpsPort, { ...old, ciphers });
    t.equal(socket.getCipher().name, ciphers);
    socket.destroy();
  }
});

await edge.attack(t, 'a client cannot renegotiate', async (t) => {
  const socket = await connectTls(edge.httpsPort, {
    ...options,
    maxVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
  });
  socket.on('error', () => {});
  const refused = new Promise<Error | null>((resolve) => {
    if (!socket.renegotiate({}, (error) => resolve(error))) resolve(new Error('refused at once'));
    socket.on('close', () => resolve(new Error('closed')));
  });
  t.ok(await refused);
  socket.destroy();
});

await edge.attack(
  t,
  'bytes that are no handshake, half a handshake and none at all harm nobody',
  async (t) => {
    const hello = Buffer.from('160301', 'hex');
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\nHost: a.wild.example.com\r\n\r\n'),
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      Buffer.concat([hello, Buffer.from('ffff', 'hex'), Buffer.alloc(65_535)]),
      Buffer.concat([hello, Buffer.from('0005010000ff', 'hex')]),
      Buffer.from('1503010002022a', 'hex'),
      Buffer.from('1703030010', 'hex'),
      Buffer.from('8080010301', 'hex'),
      Buffer.alloc(10_000, 0x80),
      Buffer.alloc(1),
    ]) {
      const socket = connectTcp(edge.httpsPort, '127.0.0.1').on('error', () => {});
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.on('connect', () => socket.end(bytes)).resume();
      await closed;
    }
    for (let i = 0; i < 100; i += 1) {
      const socket = connectTcp(edge.httpsPort, '127.0.0.1').on('error', () => {});
      await once(socket, 'connect');
      if (i % 2 === 0) socket.write(hello);
      socket.resetAndDestroy();
    }
    t.pass();
  },
);

await edge.attack(
  t,
  'a client that breaks off in the middle of a handshake or a request leaves nothing',
  async (t) => {
    for (let i = 0; i < 60; i += 1) {
      const tcp = connectTcp(edge.httpsPort, '127.0.0.1').on('error', () => {});
      const tls = connect({ socket: tcp, ...options, ALPNProtocols: [i % 2 === 0 ? 'h2' : 'http/1.1'] });
      tls.on('error', () => {});
      if (i % 3 === 0) {
        await once(tcp, 'connect');
      } else {
        await once(tls, 'secureConnect');
        tls.write(
          i % 2 === 0 ? 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' : `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
        );
        if (i % 3 === 1) await new Promise((resolve) => setImmediate(resolve));
      }
      tcp.resetAndDestroy();
    }
    t.pass();
  },
);

/** What port 80 answers to bytes. */
async function exchangePlain(bytes: string): Promise<string> {
  const socket = connectTcp(edge.httpPort, '127.0.0.1').on('error', () => {});
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  socket.write(Buffer.from(bytes, 'latin1'));
  while (!/\r\n\r\n/.test(received)) await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  socket.destroy();
  return received;
}

await edge.attack(
  t,
  'port 80 sends nobody to another host, and reads requests as port 443 does',
  async (t) => {
    for (const name of [
      '2130706433/.wild.example.com',
      'evil?.wild.example.com',
      'evil#.wild.example.com',
      'evil\\.wild.example.com',
      'evil@.wild.example.com',
      `${host}:80@evil.com`,
      `${host}:x`,
      '',
    ]) {
      const answer = await exchangePlain(`GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
      t.match(answer, /^HTTP\/1\.1 400 /, name);
      t.notMatch(answer, /location/i);
    }
    const location = async (head: string) =>
      /location: (\S+)/.exec(await exchangePlain(`${head}\r\n\r\n`))?.[1];
    const https = `https://${host}:${edge.httpsPort}`;
    t.equal(await location(`GET /a/../b?c HTTP/1.1\r\nHost: ${host}`), `${https}/b?c`);
    t.equal(await location(`GET http://${host}/a HTTP/1.1\r\nHost: ${host}`), `${https}/a`);
    t.equal(await location(`GET http://${host} HTTP/1.1\r\nHost: ${host}`), `${https}/`);
    t.equal(await location(`GET //evil.com/x HTTP/1.1\r\nHost: ${host}`), `${https}/evil.com/x`);
    for (const [head, status] of [
      [`GET / HTTP/1.1\r\nHost: ${host}\r\nHost: ${host}`, 400],
      ['GET / HTTP/1.1', 400],
      [`GET / HTTP/2.0\r\nHost: ${host}`, 505],
      [`GET /\\x HTTP/1.1\r\nHost: ${host}`, 400],
      [`GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: ${host}`, 414],
      [`GET / HTTP/1.1\r\nHost: ${host}\r\nX: ${'a'.repeat(20_000)}`, 431],
      [`POST / HTTP/1.0\r\nHost: ${host}\r\nTransfer-Encoding: chunked`, 400],
      [`POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: gzip, chunked`, 501],
      [`BREW / HTTP/1.1\r\nHost: ${host}`, 501],
      [`GET / RTSP/1.0\r\nHost: ${host}`, 400],
      [`GET / HTTP/1.1\nHost: ${host}`, 400],
      [`OPTIONS / HTTP/1.1\r\nHost: ${host}\r\nMax-Forwards: 0`, 204],
      [`TRACE / HTTP/1.1\r\nHost: ${host}\r\nMax-Forwards: 0`, 405],
      [`CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}`, 501],
      [`GET / HTTP/1.1\r\nHost: ${host}\r\nExpect: x`, 417],
      [`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket`, 308],
      ['\x16\x03\x01\x00\x05', 400],
    ] as const) {
      t.match(
        await exchangePlain(`${head}\r\n\r\n`),
        new RegExp(`^HTTP/1\\.1 ${status} `),
        head.slice(0, 60),
      );
    }
    const pipelined = await exchangePlain(
      `GET /1 HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /2 HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    );
    t.match(pipelined, /\/1\r\n/);
  },
);

await edge.attack(
  t,
  'the admin listener answers to names of its own only, and tells nobody else a thing',
  async (t) => {
    for (const path of ['/metrics', '/readyz', '/healthz']) {
      for (const name of [
        'evil.example',
        'evil.example:80',
        '127.0.0.1.evil.example',
        'localhost.evil.example',
      ]) {
        const answer = await fetchPlain(edge.adminPort, path, name);
        t.equal(answer.status, 421, `${path} ${name}`);
        t.notMatch(String(answer.body), /lockstep_edge|ready/);
      }
      for (const name of ['127.0.0.1', 'localhost', `localhost:${edge.adminPort}`, '[::1]']) {
        t.equal((await fetchPlain(edge.adminPort, path, name)).status, 200, `${path} ${name}`);
      }
    }
  },
);
