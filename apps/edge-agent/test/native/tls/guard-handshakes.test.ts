import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type SecureContext } from 'node:tls';
import { createBoundary } from '@lockstep/contract';
import { pino } from 'pino';
import t from 'tap';
import { createHeldHandshakes } from '../../../src/native/on-demand/held-handshakes.ts';
import { guardHandshakes } from '../../../src/native/tls/guard-handshakes.ts';
import { createHandshakes } from '../../../src/native/tls/handshakes.ts';

t.test('whatever fails within a handshake ends that handshake alone, and is counted', async (t) => {
  const boundary = createBoundary(pino({ level: 'silent' }));
  const fail = (): never => {
    throw new Error('a table that fails');
  };
  const find = (): SecureContext | null => fail();
  const handshakes = createHandshakes({
    certificates: { find, findAsking: find, hostsOf: fail },
    challenges: { context: fail },
    staples: { find: fail },
    routes: { names: fail, askedOf: fail },
    onDemand: fail,
    unnamed: fail,
    held: createHeldHandshakes({ find, onAsk() {}, onEnough() {}, boundary }),
    onRefused() {},
  });
  const { SNICallback, ALPNCallback, onOcspRequest } = guardHandshakes(handshakes, boundary);
  const server = createServer({ SNICallback, ALPNCallback } as Parameters<typeof createServer>[0]);
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  for (const ALPNProtocols of [['http/1.1'], ['acme-tls/1']]) {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = connect({ port, host: '127.0.0.1', servername: 'a.example', ALPNProtocols, maxVersion });
      await t.rejects(once(socket, 'secureConnect'));
    }
  }
  t.ok(boundary.exceptions.handshake! >= 4);
  onOcspRequest(Buffer.alloc(0), Buffer.alloc(0), (error, response) =>
    t.same([error, response], [null, null]),
  );
});
