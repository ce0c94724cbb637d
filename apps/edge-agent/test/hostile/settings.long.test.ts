import t from 'tap';
import type { EdgeChange } from '../configured-store.ts';
import { exchangeH2 } from './h2-exchange.ts';
import { host, startHostileEdge } from './hostile-edge.ts';

const edge = await startHostileEdge(t);
const changes = 150;
const h = `Host: ${host}\r\n`;

/** Of each setting its ends in turn, at paces of their own, so that all come together with all. */
function change(i: number): EdgeChange {
  const turn = <T>(pace: number, ...all: T[]): T => all[Math.floor(i / pace) % all.length]!;
  return {
    limits: {
      streams: turn(1, 1, 1_000),
      headBytes: turn(2, 4_096, 65_536),
      headFields: turn(3, 32, 1_000),
      targetBytes: turn(4, 1_024, 32_768),
      connectionsPerClient: turn(5, 100, 10_000),
      upstreamConnections: turn(2, 1, 2, 256),
      upstreamPendingMs: 300_000,
      upstreamHeadBytes: turn(7, 4_096, 262_144),
    },
    timeouts: {
      headMs: turn(3, 1_000, 300_000),
      keepAliveMs: turn(4, 1_000, 60_000),
      connectMs: turn(5, 1_000, 5_000),
    },
    deny: turn(3, ['169.254.0.0/16'], ['10.0.0.0/8', 'fe80::/10'], []),
  };
}

await edge.attack(t, 'settings that change all the time cost no exchange', async (t) => {
  const body = 'x'.repeat(500_000);
  edge.upstream.on('/large', `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  let over = false;
  let served = 0;
  const wrong: string[] = [];
  function note(what: string, right: boolean): void {
    served += 1;
    if (!right) wrong.push(what);
  }

  async function http1(): Promise<void> {
    while (!over) {
      const client = await edge.raw();
      client.send(`POST / HTTP/1.1\r\n${h}Content-Length: 10\r\n\r\nhello`);
      await edge.fetch('/large').then((answer) => note('large', answer.body.length === body.length));
      client.send(`helloGET / HTTP/1.1\r\n${h}Connection: close\r\n\r\n`);
      await client.ended();
      note(`HTTP/1.1 ${client.statuses}`, String(client.statuses) === '200,200');
      client.close();
    }
  }
  async function http2(): Promise<void> {
    while (!over) {
      const session = await edge.h2();
      const all = await Promise.all(
        ['/', '/large', '/'].map((path, i) =>
          exchangeH2(
            session,
            { ':path': path, ':method': i === 2 ? 'POST' : 'GET' },
            i === 2 ? 'hello' : undefined,
          ),
        ),
      );
      for (const { status, rstCode } of all)
        note(`HTTP/2 ${status} ${rstCode}`, status === 200 && rstCode === 0);
      session.destroy();
    }
  }
  const clients = [http1(), http1(), http2(), http2()];
  for (let i = 0; i < changes; i += 1) await edge.settings(change(i));
  over = true;
  await Promise.all(clients);
  t.same(wrong, []);
  t.ok(served > changes / 10, `${served} exchanges meanwhile`);
  await edge.settings();
});
