import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import t from 'tap';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const seen: IncomingMessage[] = [];
let granted = '';
const upstream = await startUpstream(t, (request, response) => {
  seen.push(request);
  response.end('plain');
});
const ends = new Set<Duplex>();
upstream.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
  seen.push(request);
  ends.add(socket);
  socket.on('error', () => {});
  const protocol = granted || request.headers.upgrade;
  socket.write(
    `HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: ${protocol}\r\nX-More: 1\r\n\r\nfirst `,
  );
  socket.on('data', (chunk) => socket.write(`echo ${chunk}`));
  socket.on('end', () => socket.end('last'));
});
t.teardown(() => {
  for (const socket of ends) socket.destroy();
});
const edge = await startWorker(t);
await edge.applied(await edge.serve('shop', [host], [upstream.url]));

async function ask(
  method: string,
  protocols: string,
): Promise<{ socket: Socket; read(until: RegExp): Promise<string> }> {
  const socket = connect({ host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root });
  let got = '';
  socket.on('data', (chunk) => {
    got += chunk;
  });
  t.teardown(() => socket.destroy());
  socket.write(
    `${method} /ts2021 HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: ${protocols}\r\nContent-Length: 0\r\n\r\n`,
  );
  return {
    socket,
    async read(until) {
      while (!until.test(got)) await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      return got;
    },
  };
}

for (const [method, protocol] of [
  ['POST', 'tailscale-control-protocol'],
  ['POST', 'SPDY/3.1'],
  ['GET', 'websocket'],
] as const) {
  t.test(`a connection switches to ${protocol} where the upstream agrees`, async (t) => {
    const { socket, read } = await ask(method, protocol);
    const head = await read(/first /);
    t.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\n/);
    t.ok(head.includes(`\r\nUpgrade: ${protocol}\r\n`), head);
    t.match(head, /\r\nX-More: 1\r\n/);
    t.match(seen.at(-1), { method, headers: { upgrade: protocol, connection: 'upgrade' } });
    socket.write('hello');
    await read(/echo hello/);
    socket.end();
    t.match(await read(/last/), /last$/, 'each direction ends by itself');
  });
}

t.test('of several protocols the upstream chooses, and of those alone', async (t) => {
  granted = 'beta/2';
  t.match(await (await ask('GET', 'alpha, beta/2')).read(/first /), /\r\nUpgrade: beta\/2\r\n/);
  t.equal(seen.at(-1)?.headers.upgrade, 'alpha, beta/2');
  granted = 'gamma';
  t.match(await (await ask('GET', 'alpha, beta/2')).read(/\}/), /^HTTP\/1\.1 502 /);
});

t.test('other versions of HTTP, and TLS, are not for an upstream to grant', async (t) => {
  for (const protocol of ['h2c', 'TLS/1.0', 'HTTP/2.0', '"x"']) {
    t.match(await (await ask('GET', protocol)).read(/plain/), /^HTTP\/1\.1 200 /);
    t.equal(seen.at(-1)?.headers.upgrade, undefined);
  }
});
