import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { BoundSocket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { edgeCanaryId, edgeKinds } from '@lockstep/contract';
import { createEdgeSealer, deriveEdgeKey, generateSecretKey, sealCanary } from '@lockstep/pki';
import { createRedisStore } from '@lockstep/store';
import { freePort, type RedisServer, startRedis, testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { type ConfiguredStore, createConfiguredStore } from './configured-store.ts';
import { connectTls } from './connect-tls.ts';
import { fetchThrough } from './fetch-through.ts';
import { startUpstream } from './start-upstream.ts';

const entry = fileURLToPath(new URL('./edge-over-redis.ts', import.meta.url));
const host = 'shop.example.com';

interface RedisEdge {
  child: ChildProcess;
  httpsPort: number;
  adminPort: number;
  /** Exit code and what it wrote to stderr. */
  ended: Promise<{ code: number | null; stderr: string }>;
}

interface StartOptions {
  env?: NodeJS.ProcessEnv;
  /** Become its descriptors 3 and 4. */
  given?: { https: BoundSocket; http: BoundSocket };
}

async function startEdge(
  t: Test,
  url: string,
  dataDir: string,
  edgeKey: string,
  { env, given }: StartOptions = {},
): Promise<RedisEdge> {
  const [https, http, admin] = [await freePort(), await freePort(), await freePort()];
  const at = (port: number) => ({ host: '127.0.0.1', port });
  const config = {
    node: 'edge-1',
    dataDir,
    https: at(https),
    http: at(http),
    admin: at(admin),
    publicHttpsPort: null,
    workers: 1,
    logLevel: 'silent',
    drainTimeoutMs: 500,
  };
  const child = spawn(process.execPath, [entry, JSON.stringify(config), JSON.stringify({ storeUrl: url })], {
    env: { ...process.env, LOCKSTEP_EDGE_KEY: edgeKey, ...env },
    stdio: ['ignore', 'ignore', 'pipe', ...(given === undefined ? [] : [given.https.fd(), given.http.fd()])],
  });
  const exit = once(child, 'exit') as Promise<[number | null]>;
  const stderr = text(child.stderr!);
  t.teardown(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  return {
    child,
    httpsPort: https,
    adminPort: admin,
    ended: exit.then(async ([code]) => ({ code, stderr: await stderr })),
  };
}

const ready = ({ adminPort }: RedisEdge) =>
  waitFor(async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status === 200, {
    what: 'the edge to be ready',
  });

async function redisWith(t: Test): Promise<{ redis: RedisServer; configured: ConfiguredStore }> {
  const redis = await startRedis();
  const configured = await createConfiguredStore(createRedisStore({ url: redis.url }));
  t.teardown(async () => {
    await configured.close();
    await redis.close();
  });
  const sealer = createEdgeSealer(configured.edgeKey);
  await configured.commit({
    op: 'put',
    kind: 'edge-canary',
    id: edgeCanaryId,
    value: { sealed: sealCanary(sealer) },
  });
  const { url } = await startUpstream(t, (_request, response) => response.end('ok'));
  await configured.serve('shop', [host], [url]);
  return { redis, configured };
}

/** How many tickets of TLS 1.3 a handshake brings; they come before the answer. */
async function ticketsOf({ httpsPort }: RedisEdge, root: string): Promise<number> {
  const socket = await connectTls(httpsPort, { servername: host, ca: root, minVersion: 'TLSv1.3' });
  let tickets = 0;
  socket.on('session', () => {
    tickets += 1;
  });
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await text(socket);
  return tickets;
}

t.test('an edge follows Redis, serves from disk without it, also after a kill, and catches up', async (t) => {
  const { redis, configured } = await redisWith(t);
  const dataDir = testFolder(t);
  const status = async (edge: RedisEdge, name: string) =>
    (await fetchThrough({ port: edge.httpsPort, host: name, root: configured.root })).status;
  const first = await startEdge(t, redis.url, dataDir, configured.edgeKey);
  await ready(first);
  t.equal(await status(first, host), 200);
  t.equal(
    await ticketsOf(first, configured.root),
    1,
    'a handshake is not charged with tickets that nobody uses',
  );

  await redis.stop();
  t.equal(await status(first, host), 200);
  first.child.kill('SIGKILL');
  await first.ended;
  const second = await startEdge(t, redis.url, dataDir, configured.edgeKey);
  await ready(second);
  t.equal(await status(second, host), 200);

  await redis.start();
  const { number } = await waitFor(
    () => configured.serve('late', ['late.example.com'], ['http://127.0.0.1:1']),
    {
      what: 'the store to be well',
    },
  );
  const caughtUp = async () =>
    (await configured.store.listNodes()).some(({ report }) => report.applied?.number === number);
  await waitFor(caughtUp, { what: 'the edge to catch up' });
  t.equal(await status(second, 'late.example.com'), 502);
  const [node] = await configured.store.listNodes();
  t.same(
    new Set(node?.report.capabilities.kinds),
    new Set(edgeKinds),
    'a whole edge lacks no kind for edges',
  );
  second.child.kill('SIGTERM');
  t.match(await second.ended, { code: 0, stderr: '' });
  t.same(await configured.store.listNodes(), []);
});

t.test(
  'a service manager hears how an edge stands, and keeps its sockets while another one takes its place',
  async (t) => {
    const { redis, configured } = await redisWith(t);
    const at = { host: '127.0.0.1', port: 0 };
    const given = { https: new BoundSocket(at), http: new BoundSocket(at) };
    t.teardown(() => Object.values(given).map((socket) => socket.close()));
    const { port } = given.https.address();
    const folder = testFolder(t);
    const heard = join(folder, 'heard');
    writeFileSync(join(folder, 'systemd-notify'), `#!/bin/sh\necho "$*" >> ${heard}\n`, { mode: 0o755 });
    const env = {
      PATH: `${folder}:${process.env.PATH}`,
      NOTIFY_SOCKET: '/run/nobody',
      WATCHDOG_USEC: '400000',
      LISTEN_FDS: '2',
      LISTEN_FDNAMES: 'https:http',
    };
    const told = () => (existsSync(heard) ? readFileSync(heard, 'utf8').trim().split('\n') : []);
    const hears = (what: RegExp) =>
      waitFor(() => told().some((line) => what.test(line)), { what: `${what}` });
    const dataDir = join(folder, 'data');
    const first = await startEdge(t, redis.url, dataDir, configured.edgeKey, { env, given });
    await hears(/^READY=1 STATUS=serving$/);
    const status = async () => (await fetchThrough({ port, host, root: configured.root })).status;
    t.equal(await status(), 200, 'at the address of the socket that was passed');
    await hears(/^WATCHDOG=1$/);
    first.child.kill('SIGHUP');
    await hears(/^RELOADING=1 MONOTONIC_USEC=\d+/);
    await waitFor(() => told().filter((line) => line.startsWith('READY=1')).length === 2, {
      what: 'the workers to be replaced',
    });
    t.equal(await status(), 200);
    first.child.kill('SIGQUIT');
    t.match(await first.ended, { code: 0 });
    await hears(/^STOPPING=1/);

    const waiting = status();
    const second = await startEdge(t, redis.url, dataDir, configured.edgeKey, { env, given });
    t.equal(await waiting, 200, 'who came in between waited');
    second.child.kill('SIGTERM');
    t.match(await second.ended, { code: 0 });
  },
);

t.test('sockets that have no place are refused', async (t) => {
  const edge = await startEdge(t, 'redis://127.0.0.1:1', testFolder(t), deriveEdgeKey(generateSecretKey()), {
    env: { LISTEN_FDS: '1', LISTEN_FDNAMES: 'admin:https' },
  });
  t.match(await edge.ended, { code: 1, stderr: /^bad_configuration: socket 1 of 1/ });
});

t.test('a wrong key is one line', async (t) => {
  const { redis } = await redisWith(t);
  const edge = await startEdge(t, redis.url, testFolder(t), deriveEdgeKey(generateSecretKey()));
  const { code, stderr } = await edge.ended;
  t.equal(code, 1);
  t.match(stderr, /^wrong_secret_key: [^\n]+\n$/);
});

t.test('a store that cannot be reached is one line when nothing is saved', async (t) => {
  const edge = await startEdge(
    t,
    `redis://127.0.0.1:${await freePort()}`,
    testFolder(t),
    deriveEdgeKey(generateSecretKey()),
  );
  const { code, stderr } = await edge.ended;
  t.equal(code, 1);
  t.match(stderr, /^store_unavailable: [^\n]+\n$/);
});

t.test('an empty store is waited for, and an edge that stops for a restart is still expected', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.close());
  const edgeKey = deriveEdgeKey(generateSecretKey());
  const edge = await startEdge(t, redis.url, testFolder(t), edgeKey);
  await waitFor(async () => (await fetch(`http://127.0.0.1:${edge.adminPort}/readyz`)).status === 503, {
    what: 'the edge to be up',
  });
  const configured = await createConfiguredStore(createRedisStore({ url: redis.url }), edgeKey);
  t.teardown(() => configured.close());
  await configured.serve('shop', [host], ['http://127.0.0.1:1']);
  await ready(edge);
  t.equal((await fetchThrough({ port: edge.httpsPort, host, root: configured.root })).status, 502);
  const nodes = () => configured.store.listNodes();
  await waitFor(async () => (await nodes())[0]?.live, { what: 'the edge to be known', timeoutMs: 20_000 });
  edge.child.kill('SIGQUIT');
  t.match(await edge.ended, { code: 0 });
  t.match(
    (await nodes())[0],
    { report: { node: 'edge-1' }, live: false, stopped: true },
    'it said that it comes back',
  );
});
