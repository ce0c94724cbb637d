import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { connectEdgeH2 } from '../../connect-edge-h2.ts';
import { type FetchOptions, fetchThrough, fetchThroughH2, openThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const edge = await startWorker(t);
const at = (path: string): FetchOptions => ({ port: edge.httpsPort, host, root: edge.root, path });

/** Told apart at each byte: what a connection reads into is used again for the next. */
const bodyOf = (path: string) => `${path};`.repeat(40_000);

t.test('large bodies arrive as they were sent, whoever else reads slowly or goes away', async (t) => {
  const upstream = await startUpstream(t, ({ url }, response) => {
    const body = bodyOf(url!);
    response.writeHead(200, { 'content-length': body.length }).end(body);
  });
  await edge.applied(await edge.serve('shop', [host], [upstream.url]));
  const whole = async (path: string, fetchBody: typeof fetchThrough) => {
    const { body } = await fetchBody(at(path));
    t.ok(body === bodyOf(path), `${path} is whole`);
  };
  const slow = async (path: string) => {
    const answer = await openThrough(at(path));
    answer.pause();
    await Promise.all(Array.from({ length: 8 }, (_, i) => whole(`${path}-beside-${i}`, fetchThrough)));
    t.ok((await text(answer)) === bodyOf(path), `${path} is whole, read late`);
  };
  const gone = async (path: string) => {
    const answer = await openThrough(at(path));
    answer.on('error', () => {});
    await once(answer, 'data');
    answer.destroy();
  };
  const goneOverHttp2 = async (path: string) => {
    const session = connectEdgeH2(edge, host);
    const stream = session.request({ ':path': path }).on('error', () => {});
    await once(stream, 'data');
    stream.close(8);
    await once(stream, 'close');
    session.close();
  };
  for (let round = 0; round < 3; round += 1) {
    await Promise.all([
      slow(`/slow-${round}`),
      ...Array.from({ length: 4 }, (_, i) => gone(`/gone-${round}-${i}`)),
      ...Array.from({ length: 4 }, (_, i) => goneOverHttp2(`/gone-h2-${round}-${i}`)),
      ...Array.from({ length: 6 }, (_, i) => whole(`/h1-${round}-${i}`, fetchThrough)),
      ...Array.from({ length: 6 }, (_, i) => whole(`/h2-${round}-${i}`, fetchThroughH2)),
    ]);
  }
});

for (const [what, bytes] of [
  ['a short answer', 2],
  ['a body that is counted', 40_000],
] as const) {
  t.test(`what follows ${what} is not given to the next request`, async (t) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket.on('error', () => {}));
      socket.once('data', () => {
        const answer = `HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`;
        socket.write(`${answer}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged`);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    const { port } = server.address() as { port: number };
    // One connection: the others wait for it, and have it the moment that it is free.
    const limits = { connections: 1 };
    await edge.applied(await edge.serve('shop', [host], [`http://127.0.0.1:${port}`], ['/'], { limits }));
    const answers = await Promise.all(['/1', '/2', '/3', '/4'].map((path) => fetchThrough(at(path))));
    for (const { status, body } of answers) {
      t.equal(status, 200);
      t.equal(body.length, bytes);
    }
    t.equal(sockets.length, 4, 'each on a connection of its own');
  });
}
