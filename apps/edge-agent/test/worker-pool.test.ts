import { randomBytes } from 'node:crypto';
import type { FollowEvent } from '@lockstep/contract';
import { generateSecretKey } from '@lockstep/pki';
import { freePort, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createBoundary } from '../src/boundary.ts';
import { withDefaults } from '../src/config.ts';
import { createListeningSockets } from '../src/supervisor/listening-sockets.ts';
import { createWorkerPool } from '../src/supervisor/worker-pool.ts';

t.test('nothing is applied before every worker that takes connections has a configuration', async (t) => {
  const position = { epoch: 'e', number: 1, commitId: 'c' };
  const second = Promise.withResolvers<void>();
  let follows = 0;
  const local = async () => ({ host: '127.0.0.1', port: await freePort() });
  const [https, http] = await Promise.all([local(), local()]);
  const pool = createWorkerPool({
    count: 2,
    settings: {
      config: withDefaults({
        node: 'edge-1',
        dataDir: '',
        https,
        http,
        admin: http,
        publicHttpsPort: null,
        workers: 2,
        logLevel: 'silent',
      }),
      https,
      http,
      secretKey: generateSecretKey(),
      ticketKeys: randomBytes(48),
      ownServices: [],
    },
    sockets: await createListeningSockets(2, { https, http }),
    feed: {
      async *follow(_from, { signal }): AsyncGenerator<FollowEvent> {
        follows += 1;
        if (follows === 2) await second.promise;
        yield { type: 'snapshot', position, records: (async function* () {})() };
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    },
    hasConfiguration: () => false,
    asks: { ask() {}, enough() {}, gone() {} },
    log: pino({ level: 'silent' }),
    boundary: createBoundary(pino({ level: 'silent' })),
    onChange() {},
  });
  t.teardown(() => pool.drain());
  await pool.start();
  await waitFor(() => pool.ready === 1, { what: 'one worker with a configuration' });
  t.equal(pool.applied(), null, 'the other one would not answer a challenge');
  second.resolve();
  await waitFor(() => pool.ready === 2, { what: 'the other one' });
  t.same(pool.applied(), position);
});
