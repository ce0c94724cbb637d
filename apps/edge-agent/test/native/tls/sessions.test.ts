import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { sessionTicketsId } from '@lockstep/contract';
import { createEdgeSealer } from '@lockstep/pki';
import t from 'tap';
import type { ConfiguredStore } from '../../configured-store.ts';
import { connectTls, tlsVersions } from '../../connect-tls.ts';
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
  // TLS 1.3 has its tickets after the handshake, TLS 1.2 in it.
  const session = socket.getProtocol() === 'TLSv1.3' ? once(socket, 'session') : [socket.getSession()];
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

/** Whether a session resumes there. */
async function resumes(port: number, options: ConnectionOptions): Promise<boolean> {
  const socket = await connectTls(port, options);
  const reused = socket.isSessionReused();
  socket.destroy();
  return reused;
}

function ticketKeys(edge: ConfiguredStore, keys: Buffer[]) {
  const sealed = Buffer.concat(keys).toString('base64');
  return edge.commit({
    op: 'put',
    kind: 'session-tickets',
    id: sessionTicketsId,
    value: {
      sealedKeys: createEdgeSealer(edge.edgeKey).seal(sealed, `session-tickets/${sessionTicketsId}`),
      madeAt: '',
      dueAt: '',
    },
  });
}

t.test(
  'a session resumes at every edge and after restarts, as long as the key of its ticket is kept',
  async (t) => {
    const edge = await startWorker(t);
    const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
    await edge.serve('a', [host], [url]);
    const [first, second, third, fourth] = [1, 2, 3, 4].map(() => randomBytes(48)) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];
    await edge.applied(await ticketKeys(edge, [first]));
    for (const version of tlsVersions) {
      const options = { servername: host, ca: edge.root, minVersion: version, maxVersion: version };
      await edge.applied(await ticketKeys(edge, [first]));
      const session = await sessionOf(edge.httpsPort, options, true);
      // Another worker, with all it has from the store: another edge, or this one after a restart.
      const other = await startWorker(t, {}, undefined, edge);
      t.equal(await resumes(other.httpsPort, { ...options, session }), true, version);
      const newest = await ticketKeys(edge, [third, second, first]);
      await Promise.all([edge.applied(newest), other.applied(newest)]);
      t.equal(await resumes(edge.httpsPort, { ...options, session }), true, `${version}, by an older key`);
      const renewed = await sessionOf(other.httpsPort, { ...options, session }, true);
      await edge.applied(await ticketKeys(edge, [fourth, third, second]));
      t.equal(await resumes(edge.httpsPort, { ...options, session }), false, `${version}, without its key`);
      t.equal(
        await resumes(edge.httpsPort, { ...options, session: renewed }),
        true,
        `${version}, renewed with the newest`,
      );
    }
  },
);

t.test('keys of tickets that are none are refused by name, and those there were stay', async (t) => {
  const edge = await startWorker(t);
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  await edge.serve('a', [host], [url]);
  await edge.applied(await ticketKeys(edge, [randomBytes(48)]));
  const options = { servername: host, ca: edge.root };
  const session = await sessionOf(edge.httpsPort, options, true);
  await edge.applied(await ticketKeys(edge, [randomBytes(47)]));
  t.match(edge.status().refusals, [
    { kind: 'session-tickets', reason: '47 bytes are no keys of session tickets' },
  ]);
  t.equal(await resumes(edge.httpsPort, { ...options, session }), true);
});
