import { once } from 'node:events';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import t from 'tap';
import { connectTls } from '../../connect-tls.ts';
import { startUpstream } from '../../start-upstream.ts';
import { startWorker } from '../../start-worker.ts';

const host = 'a.example.com';

/** What comes back for a request until the server closes; null when the connection does not come about. */
async function answerTo(port: number, options: ConnectionOptions): Promise<string | null> {
  let socket: TLSSocket;
  try {
    socket = await connectTls(port, options);
  } catch {
    return null;
  }
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    answer += chunk;
  });
  socket.on('error', () => {});
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  return answer;
}

async function sessionOf(port: number, options: ConnectionOptions, request: boolean): Promise<Buffer> {
  const socket = await connectTls(port, options);
  socket.on('error', () => {});
  const session = once(socket, 'session');
  socket.resume();
  if (request) socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const [ticket] = (await session) as [Buffer];
  socket.destroy();
  return ticket;
}

t.test('a session resumes as long as its host has a certificate, and no longer', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  await edge.applied(await edge.serve('a', [host], [url]));
  const options = { servername: host, ca: edge.root };
  const session = await sessionOf(edge.httpsPort, options, true);
  t.match(await answerTo(edge.httpsPort, { ...options, session }), /200 OK/);
  await edge.applied(await edge.commit({ op: 'delete', kind: 'certificate', id: host }));
  t.notMatch((await answerTo(edge.httpsPort, { ...options, session })) ?? '', /HTTP/);
});

t.test('a session begun with a challenge’s certificate serves nothing', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  await edge.applied(await edge.commit(edge.routeChange('a', [host], [url])));
  const value = await edge.tlsAlpnRecord('token', host);
  await edge.applied(await edge.commit({ op: 'put', kind: 'challenge', id: 'token', value }));
  const options = { servername: host, rejectUnauthorized: false };
  const session = await sessionOf(edge.httpsPort, { ...options, ALPNProtocols: ['acme-tls/1'] }, false);
  for (const ALPNProtocols of [['http/1.1'], undefined]) {
    const answer = await answerTo(edge.httpsPort, {
      ...options,
      session,
      ...(ALPNProtocols && { ALPNProtocols }),
    });
    t.notMatch(answer ?? '', /HTTP/, `${ALPNProtocols}`);
  }
});
