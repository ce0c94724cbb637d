import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { fastify } from 'fastify';
import t from 'tap';
import type { ApiInstance } from '../../src/api/api-instance.ts';
import { listen } from '../../src/api/listen.ts';

function makeApp(test: Pick<typeof t, 'teardown'>): ApiInstance {
  const app = fastify({ forceCloseConnections: true });
  test.teardown(() => app.close());
  app.get('/healthz', async () => 'ok');
  return app as unknown as ApiInstance;
}

t.test(
  'a burst of connections is accepted in far fewer turns of the event loop than it has connections',
  async (t) => {
    const app = makeApp(t);
    const { port } = await listen(app, { host: '127.0.0.1', port: 0 });
    const burst = 160;
    let accepted = 0;
    let turns = 0;
    app.server.on('connection', () => {
      accepted += 1;
    });
    const sockets = Array.from({ length: burst }, () => connect(port, '127.0.0.1'));
    t.teardown(() => {
      for (const socket of sockets) socket.destroy();
    });
    for (; accepted < burst; turns += 1) await turnOfTheLoop();
    // Turns without any new connection are counted too, and yet there are fewer than one for each.
    t.ok(turns < burst || process.platform !== 'linux', `${turns} turns`);
  },
);

t.test('every socket of the address answers, and none is left after the end', async (t) => {
  const app = makeApp(t);
  const address = await listen(app, { host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${address.port}/healthz`;
  for (let index = 0; index < 40; index += 1)
    t.equal((await fetch(url, { headers: { connection: 'close' } })).status, 200);
  await app.close();
  const socket = connect(address.port, '127.0.0.1');
  await t.rejects(once(socket, 'connect'), { code: 'ECONNREFUSED' });
});

t.test('an address that another has is refused in a sentence', async (t) => {
  const { port } = await listen(makeApp(t), { host: '127.0.0.1', port: 0 });
  await t.rejects(listen(makeApp(t), { host: '127.0.0.1', port }), {
    code: 'bad_configuration',
    message: `127.0.0.1:${port} is in use; choose another address for the API`,
  });
});
