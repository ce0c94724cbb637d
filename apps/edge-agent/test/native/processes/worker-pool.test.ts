import { randomBytes } from 'node:crypto';
import { createBoundary, type FollowEvent } from '@lockstep/contract';
import { deriveEdgeKey, generateSecretKey } from '@lockstep/pki';
import { freePort, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createListeningSockets } from '../../../src/native/processes/listening-sockets.ts';
import {
  createWorkerPool,
  type WorkerPool,
  type WorkerPoolOptions,
} from '../../../src/native/processes/worker-pool.ts';
import { withDefaults } from '../../../src/startup/config.ts';

const position = { epoch: 'e', number: 1, commitId: 'c' };
const log = pino({ level: 'silent' });

/** What a worker is given: nothing, at a position. */
async function* emptySnapshot(signal: AbortSignal): AsyncGenerator<FollowEvent> {
  yield { type: 'snapshot', position, records: (async function* () {})() };
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

async function startPool(
  t: Test,
  count: number,
  options: Partial<WorkerPoolOptions> = {},
): Promise<{ pool: WorkerPool; httpPort: number }> {
  const local = async () => ({ host: '127.0.0.1', port: await freePort() });
  const [https, http] = await Promise.all([local(), local()]);
  const pool = createWorkerPool({
    count,
    settings: {
      config: withDefaults({
        node: 'edge-1',
        dataDir: '',
        https,
        http,
        admin: http,
        publicHttpsPort: null,
        workers: count,
        logLevel: 'silent',
        drainTimeoutMs: 500,
      }),
      https,
      http,
      edgeKey: deriveEdgeKey(generateSecretKey()),
      ticketKeys: randomBytes(48),
      ownServices: [],
    },
    sockets: await createListeningSockets(count, { https, http }),
    feed: { follow: (_from, { signal }) => emptySnapshot(signal) },
    hasConfiguration: () => false,
    asks: { ask() {}, enough() {}, gone() {} },
    health: { watch() {}, unwatch() {}, gone() {}, failed() {}, verdicts: () => [] },
    log,
    boundary: createBoundary(log),
    onChange() {},
    ...options,
  });
  t.teardown(() => pool.drain());
  await pool.start();
  return { pool, httpPort: http.port };
}

/** The status of a request over a new connection, or why there was none. */
async function ask(port: number): Promise<number | string> {
  try {
    const headers = { connection: 'close' };
    return (await fetch(`http://127.0.0.1:${port}/`, { headers, redirect: 'manual' })).status;
  } catch (error) {
    return String((error as Error & { cause?: { code?: string } }).cause?.code);
  }
}

t.test('nothing is applied before every worker that takes connections has a configuration', async (t) => {
  const second = Promise.withResolvers<void>();
  let follows = 0;
  const { pool } = await startPool(t, 2, {
    feed: {
      async *follow(_from, { signal }): AsyncGenerator<FollowEvent> {
        follows += 1;
        if (follows === 2) await second.promise;
        yield* emptySnapshot(signal);
      },
    },
  });
  await waitFor(() => pool.ready === 1, { what: 'one worker with a configuration' });
  t.equal(pool.applied(), null, 'the other one would not answer a challenge');
  second.resolve();
  await waitFor(() => pool.ready === 2, { what: 'the other one' });
  t.same(pool.applied(), position);
});

t.test('a worker that dies is replaced at once, and connections wait for the new one', async (t) => {
  const { pool, httpPort } = await startPool(t, 1);
  await waitFor(() => pool.ready === 1, { what: 'a worker' });
  for (const death of [1, 2, 3]) {
    const [pid] = pool.pids;
    process.kill(pid!, 'SIGKILL');
    await waitFor(() => pool.restarts === death, { what: 'it to be missed' });
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(httpPort)));
    t.same([...new Set(answers)], [404], 'none is refused while there is no worker');
    await waitFor(() => pool.ready === 1, { what: 'another worker' });
    t.not(pool.pids[0], pid);
  }
});

t.test('a worker that hangs does not count, is killed, and is replaced', async (t) => {
  const { pool, httpPort } = await startPool(t, 1, { beatMs: 200 });
  await waitFor(() => pool.ready === 1, { what: 'a worker' });
  const [pid] = pool.pids;
  process.kill(pid!, 'SIGSTOP');
  await waitFor(() => pool.hung === 1, { what: 'it to be noticed' });
  t.equal(pool.ready, 0);
  t.equal(pool.applied(), null, 'nothing counts as applied by it');
  await waitFor(() => pool.kills === 1 && pool.ready === 1, { what: 'another worker' });
  t.not(pool.pids[0], pid);
  t.same(pool.applied(), position);
  t.equal(await ask(httpPort), 404);
});

t.test('a worker that was only slow counts again', async (t) => {
  const { pool } = await startPool(t, 1, { beatMs: 500 });
  await waitFor(() => pool.ready === 1, { what: 'a worker' });
  const [pid] = pool.pids;
  process.kill(pid!, 'SIGSTOP');
  await waitFor(() => pool.hung === 1, { what: 'it to be noticed' });
  process.kill(pid!, 'SIGCONT');
  await waitFor(() => pool.ready === 1, { what: 'it to go on' });
  t.same([pool.pids[0], pool.kills], [pid, 0]);
});

t.test('after a drain nobody listens', async (t) => {
  const { pool, httpPort } = await startPool(t, 2);
  t.equal(await ask(httpPort), 404);
  await pool.drain();
  t.equal(await ask(httpPort), 'ECONNREFUSED');
});

t.test('a worker that cannot be started is tried again', async (t) => {
  const local = { host: '127.0.0.1', port: await freePort() };
  const sockets = await createListeningSockets(1, {
    https: local,
    http: { ...local, port: await freePort() },
  });
  const { https, http } = sockets.pairs[0]!;
  let starts = 0;
  const failing = {
    fd() {
      starts += 1;
      if (starts === 1) throw new Error('no process can be made'); // as fork does, for want of memory
      return starts <= 3 ? 999_999 : https.fd(); // a descriptor that is none: the spawn fails, and there is no exit
    },
  };
  const { pool } = await startPool(t, 1, {
    sockets: { close: sockets.close, pairs: [{ https: failing as typeof https, http }] },
  });
  await waitFor(() => pool.ready === 1, { what: 'a worker' });
  t.ok(starts >= 4);
  t.equal(pool.restarts, starts - 1);
});

t.test(
  'a reload replaces each worker, and where a new one cannot serve the one before goes on',
  async (t) => {
    const at = async () => ({ host: '127.0.0.1', port: await freePort() });
    const [https, http] = await Promise.all([at(), at()]);
    const sockets = await createListeningSockets(2, { https, http });
    let failing = false;
    const pairs = sockets.pairs.map((pair, i) => ({
      ...pair,
      // A descriptor that is none: the process cannot be started.
      https: { ...pair.https, close() {}, fd: () => (failing && i === 1 ? 999_999 : pair.https.fd()) },
    }));
    const { pool } = await startPool(t, 2, { sockets: { close: sockets.close, pairs } });
    await waitFor(() => pool.ready === 2, { what: 'both' });
    const before = pool.pids;
    await pool.reload();
    t.equal(pool.ready, 2);
    t.same(
      pool.pids.filter((pid) => before.includes(pid)),
      [],
    );
    const [, second] = pool.pids;
    failing = true;
    const two = [pool.reload(), pool.reload()];
    for (const round of two) await t.rejects(round, { code: 'wrong_state' });
    t.equal(pool.pids[1], second, 'it goes on');
    t.same([pool.ready, pool.restarts], [2, 0]);
    t.same([...new Set(await Promise.all(Array.from({ length: 20 }, () => ask(http.port))))], [404]);
  },
);
