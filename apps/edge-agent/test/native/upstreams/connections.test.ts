import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { connectEdgeH2 } from '../../connect-edge-h2.ts';
import { fetchThrough, fetchThroughH2 } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'shop.example.com';
const edge = await startWorker(t);
const at = { port: edge.httpsPort, host, root: edge.root };

t.test('an upstream may be a socket of the file system', async (t) => {
  // The kernel takes no long paths.
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'app.sock');
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    response.end('by a socket');
  }).listen(path);
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  await edge.applied(await edge.serve('shop', [host], [`unix:${path}`]));
  for (const fetch of [fetchThrough, fetchThroughH2]) t.equal((await fetch(at)).body, 'by a socket');
  t.equal(seen[0]?.headers.host, host);
  t.equal(seen[0]?.socket, seen[1]?.socket, 'over one connection');
  for (const denied of [path, folder]) {
    await edge.applied(await edge.commit(edge.settingsChange(null, { deny: [`unix:${denied}`] })));
    t.equal((await fetchThrough(at)).status, 502, 'unless the settings deny it');
  }
  t.equal(edge.worker.figures().failures.upstream_denied, 2);
  await edge.applied(await edge.serve('shop', [host], [`unix:${path}.gone`]));
  t.equal((await fetchThrough(at)).status, 502);
});

/** Reads PROXY headers, and hands the rest of each connection to a server of HTTP. */
async function startProxied(
  t: Test,
  version: 1 | 2,
): Promise<{ url: string; headers: string[]; sockets: Socket[] }> {
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  const inner = Number(new URL(url).port);
  const headers: string[] = [];
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('data', (chunk: Buffer) => {
      const length = version === 1 ? chunk.indexOf('\r\n') + 2 : 16 + chunk.readUInt16BE(14);
      headers.push(version === 1 ? chunk.toString('latin1', 0, length) : chunk.toString('hex', 0, length));
      const through = connect(inner, '127.0.0.1');
      through.write(chunk.subarray(length));
      socket.pipe(through).pipe(socket);
      through.on('error', () => {});
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, headers, sockets };
}

t.test('an upstream is told whose each connection is, by either version of PROXY', async (t) => {
  for (const version of [1, 2] as const) {
    const { url, headers } = await startProxied(t, version);
    await edge.applied(await edge.serve('shop', [host], [{ url, proxyProtocol: version }]));
    const session = connectEdgeH2(edge, host);
    await once(session, 'connect');
    const { localPort } = session.socket;
    for (let i = 0; i < 2; i += 1) {
      const stream = session.request({ ':path': '/' });
      t.match(await once(stream, 'response'), [{ ':status': 200 }]);
      await once(stream.resume(), 'end');
    }
    const port = (value: number) => value.toString(16).padStart(4, '0');
    const told =
      version === 1
        ? `PROXY TCP4 127.0.0.1 127.0.0.1 ${localPort} ${edge.httpsPort}\r\n`
        : `0d0a0d0a000d0a515549540a2111000c7f0000017f000001${port(localPort!)}${port(edge.httpsPort)}`;
    t.same(headers, [told], 'once for both requests of one client');
    t.equal((await fetchThrough(at)).status, 200);
    t.equal(headers.length, 2, 'and anew for another client');
    t.not(headers[1], headers[0]);
    session.close();
  }
});

t.test('an upstream that is told whose connections are gets no more of them than it may', async (t) => {
  const { url } = await startProxied(t, 1);
  const upstream = { url, proxyProtocol: 1 as const };
  await edge.applied(await edge.serve('shop', [host], [upstream], ['/'], { limits: { connections: 1 } }));
  for (let i = 0; i < 3; i += 1) t.equal((await fetchThrough(at)).status, 200);
  const answers = await Promise.all(Array.from({ length: 5 }, () => fetchThrough(at)));
  t.same(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200],
  );
  t.ok(edge.worker.figures().upstreams.open <= 2);
});
