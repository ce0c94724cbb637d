import { once } from 'node:events';
import { connect } from 'node:tls';
import t from 'tap';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import { fetchThrough, fetchThroughH2 } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';

t.test(
  'a stop finishes requests in flight, ends idle connections and websockets, and takes no more',
  async (t) => {
    const edge = await startWorker(t, { drainTimeoutMs: 10_000 });
    const finishes: (() => void)[] = [];
    const arrived = Promise.withResolvers<void>();
    const { url, server } = await startUpstream(t, (_request, response) => {
      response.write('begun ');
      finishes.push(() => response.end('and done'));
      if (finishes.length === 2) arrived.resolve();
    });
    new WebSocketServer({ server });
    await edge.applied(await edge.serve('shop', [host], [url]));
    const at = { port: edge.httpsPort, host, root: edge.root };

    const idle = connect({ host: '127.0.0.1', port: edge.httpsPort, servername: host, ca: edge.root });
    await once(idle, 'secureConnect');
    const websocket = new WebSocket(`wss://127.0.0.1:${edge.httpsPort}/`, {
      headers: { host },
      servername: host,
      ca: edge.root,
    } as ClientOptions);
    await once(websocket, 'open');
    const answers = [fetchThrough(at), fetchThroughH2(at)];
    await arrived.promise;

    const closed = [once(idle, 'close'), once(websocket, 'close')];
    const drained = edge.worker.drain();
    await t.rejects(fetchThrough(at), { code: 'ECONNREFUSED' });
    for (const finish of finishes) finish();
    for (const answer of await Promise.all(answers)) t.match(answer, { status: 200, body: 'begun and done' });
    await drained;
    await Promise.all(closed);
  },
);

t.test('a stop breaks off what does not end in time', async (t) => {
  const edge = await startWorker(t, { drainTimeoutMs: 100 });
  const arrived = Promise.withResolvers<void>();
  const { url } = await startUpstream(t, () => arrived.resolve());
  await edge.applied(await edge.serve('shop', [host], [url]));
  const answer = fetchThrough({ port: edge.httpsPort, host, root: edge.root });
  const broken = t.rejects(answer);
  await arrived.promise;
  await edge.worker.drain();
  await broken;
});
