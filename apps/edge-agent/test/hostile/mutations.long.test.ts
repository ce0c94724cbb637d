import { connect as connectTcp } from 'node:net';
import t from 'tap';
import { exchangeH2 } from './h2-exchange.ts';
import { host, startHostileEdge } from './hostile-edge.ts';

const timeouts = { headMs: 1_000, bodyIdleMs: 1_000, writeIdleMs: 1_000, keepAliveMs: 1_000 };
const edge = await startHostileEdge(t, { timeouts });
const rounds = 1_500;

/** The same numbers in every run: what fails once fails again. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

const h = `Host: ${host}\r\n`;
const u = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
const messages = [
  `GET / HTTP/1.1\r\n${h}\r\n`,
  `GET /a/../b%2f?c#d HTTP/1.1\r\n${h}X: y\r\n\r\n`,
  `POST / HTTP/1.1\r\n${h}Content-Length: 5\r\n\r\nhello`,
  `POST / HTTP/1.1\r\n${h}Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: x\r\n\r\n`,
  `POST / HTTP/1.1\r\n${h}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`,
  `GET / HTTP/1.1\r\n${h}${u}\r\n`,
  `POST / HTTP/1.1\r\n${h}${u}Content-Length: 3\r\n\r\nabc`,
  `CONNECT ${host}:443 HTTP/1.1\r\n${h}\r\n`,
  `OPTIONS * HTTP/1.1\r\n${h}Max-Forwards: 0\r\n\r\n`,
  `GET https://${host}/x HTTP/1.0\r\n${h}Connection: keep-alive\r\n\r\n`,
  `HEAD / HTTP/1.1\r\nHost: nope.example.com\r\n\r\n`,
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
];
const pieces = [
  '\r',
  '\n',
  '\r\n\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  '%',
  '/',
  ';',
  ',',
  '\xff',
  'A'.repeat(9_000),
  h,
  u,
  '0',
];
// Those of `/refuse` and `/slow` are answered in ways of their own.
edge.upstream.on(
  '/b',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi',
);

function mutate(text: string, next: (below: number) => number): string {
  let out = text;
  for (let i = next(4); i > 0; i -= 1) {
    const at = next(out.length + 1);
    const piece = pieces[next(pieces.length)]!;
    const how = next(4);
    if (how === 0) out = out.slice(0, at) + piece + out.slice(at);
    else if (how === 1) out = out.slice(0, at) + out.slice(at + 1 + next(8));
    else if (how === 2) out = out.slice(0, at) + piece + out.slice(at + piece.length);
    else out = out.slice(0, at);
  }
  return out;
}

await edge.attack(
  t,
  `whatever becomes of ${rounds} connections full of broken HTTP/1.1, nothing is left of them`,
  async (t) => {
    const next = numbers(20_261_125);
    for (let round = 0; round < rounds; round += 25) {
      await Promise.all(
        Array.from({ length: 25 }, async () => {
          const client = await edge.raw();
          const text = Array.from({ length: 1 + next(4) }, () =>
            mutate(messages[next(messages.length)]!, next),
          ).join('');
          const cut = next(text.length + 1);
          client.send(text.slice(0, cut));
          if (next(2) === 0) await new Promise((resolve) => setImmediate(resolve));
          client.send(text.slice(cut));
          const end = next(4);
          if (end === 0) client.reset();
          else if (end === 1) client.socket.end();
          else if (end === 2) await Promise.race([client.ended(), edge.fetch()]);
          else client.close();
        }),
      );
    }
    t.equal(await edge.metric('exceptions_total'), 0);
  },
);

const frameHeader = (length: number, type: number, flags: number, stream: number) => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return head;
};
const get = Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x41, host.length]), Buffer.from(host)]);

await edge.attack(
  t,
  `whatever becomes of ${rounds} sessions full of broken frames, nothing is left of them`,
  async (t) => {
    const next = numbers(7_540);
    for (let round = 0; round < rounds; round += 25) {
      await Promise.all(
        Array.from({ length: 25 }, async () => {
          const client = await edge.raw({ servername: host, ALPNProtocols: ['h2'] });
          client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
          if (next(4) > 0) client.send(frameHeader(0, 4, 0, 0));
          for (let i = next(12); i > 0; i -= 1) {
            const type = next(12);
            const stream = next(3) === 0 ? next(10) : 1 + 2 * next(6);
            const payload =
              type === 1 && next(4) > 0
                ? get
                : Buffer.from(Array.from({ length: next(20) }, () => next(256)));
            const length = next(8) === 0 ? next(70_000) : payload.length;
            client.send(
              Buffer.concat([
                frameHeader(length, type, type === 1 ? [4, 5, 0, 1][next(4)]! : next(256), stream),
                payload,
              ]),
            );
          }
          const end = next(4);
          if (end === 0) client.reset();
          else if (end === 1) client.socket.end();
          else if (end === 2) await Promise.race([client.ended(), edge.fetch()]);
          else client.close();
        }),
      );
    }
    t.equal(await edge.metric('exceptions_total'), 0);
  },
);

await edge.attack(t, 'nor of what is sent to port 80', async (t) => {
  const next = numbers(80);
  for (let round = 0; round < rounds; round += 25) {
    await Promise.all(
      Array.from({ length: 25 }, async () => {
        const socket = connectTcp(edge.httpPort, '127.0.0.1').on('error', () => {});
        await new Promise((resolve) => socket.on('connect', resolve));
        const text = Array.from({ length: 1 + next(4) }, () =>
          mutate(messages[next(messages.length)]!, next),
        ).join('');
        socket.resume().write(Buffer.from(text, 'latin1'));
        if (next(2) === 0) await new Promise((resolve) => setImmediate(resolve));
        if (next(2) === 0) socket.resetAndDestroy();
        else socket.destroy();
      }),
    );
  }
  t.equal(await edge.metric('exceptions_total'), 0);
});

const answers = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: x\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno',
  'HTTP/1.0 200 OK\r\n\r\nhello',
  'HTTP/1.1 204 No\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n',
  'HTTP/1.1 205 No\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello',
];

await edge.attack(
  t,
  `whatever becomes of ${rounds} broken answers, each client gets an end, and no session goes with them`,
  async (t) => {
    const next = numbers(1_105);
    edge.upstream.on('/m', (_request, socket) => {
      const text = mutate(answers[next(answers.length)]!, next);
      const cut = next(text.length + 1);
      const end = next(3);
      socket.write(text.slice(0, cut), 'latin1');
      setImmediate(() => {
        socket.write(text.slice(cut), 'latin1');
        if (end === 0) socket.resetAndDestroy();
        else socket.end();
      });
    });
    const session = await edge.h2();
    for (let round = 0; round < rounds; round += 25) {
      await Promise.all(
        Array.from({ length: 25 }, async (_, i) => {
          const method = ['GET', 'HEAD', 'POST'][next(3)]!;
          if (i % 2 === 0) {
            await exchangeH2(session, { ':path': '/m', ':method': method });
            return;
          }
          const client = await edge.raw();
          const rest = i % 3 === 0 ? u : 'Connection: close\r\n';
          client.send(`${method} /m HTTP/1.1\r\n${h}${rest}\r\n`);
          t.match(await client.ended(), /^HTTP\/1\.1 \d{3} /);
        }),
      );
    }
    t.notOk(session.destroyed || session.closed);
    t.equal(await edge.metric('exceptions_total'), 0);
    t.equal(await edge.metric('failed_exchanges_total', 'cause="edge_failed"'), 0);
  },
);
