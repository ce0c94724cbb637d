import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import { type ConfiguredStore, createConfiguredStore } from './configured-store.ts';
import { childrenOf, presenceOf, type Started, startTestEdge } from './start-test-edge.ts';
import { startUpstream } from './start-upstream.ts';
import { type SteadyLoad, startLoad } from './steady-load.ts';

const host = 'shop.example.com';

async function serveShop(t: Test): Promise<ConfiguredStore> {
  const configured = await createConfiguredStore();
  const { url, server } = await startUpstream(t, (request, response) => {
    request.resume().on('end', () => response.end('ok'));
  });
  new WebSocketServer({ server }).on('connection', (socket) => {
    socket.on('message', (data) => socket.send(String(data)));
  });
  await configured.serve('shop', [host], [url]);
  return configured;
}

const admin = ({ addresses }: Started, path: string) => `http://127.0.0.1:${addresses.admin.port}${path}`;
const isReady = async (edge: Started) => (await fetch(admin(edge, '/readyz'))).status === 200;
const goesOn = (load: SteadyLoad, more = 50) => {
  const reached = load.answered + more;
  return waitFor(() => load.answered >= reached, { what: 'answers', progress: () => load.answered });
};

t.test('workers are replaced one by one with no request failed and no websocket closed', async (t) => {
  const configured = await serveShop(t);
  const started = await startTestEdge(t, configured, { dataDir: testFolder(t), workers: 2 });
  const { edge, addresses } = started;
  const { port } = addresses.https;
  await waitFor(() => isReady(started), { what: 'the edge to be ready' });
  const before = childrenOf(edge.pid!);
  const websocket = new WebSocket(`wss://127.0.0.1:${port}/`, {
    headers: { host },
    servername: host,
    ca: configured.root,
  } as ClientOptions);
  await once(websocket, 'open');
  const load = startLoad({ port, host, root: configured.root });
  await goesOn(load);

  const from = load.connections.h1;
  const answer = await fetch(admin(started, '/reload'), { method: 'POST' });
  t.match(await answer.json(), { status: 'reloaded' });
  await goesOn(load);
  await waitFor(() => childrenOf(edge.pid!).filter((pid) => before.includes(pid)).length === 1, {
    what: 'the worker without a websocket to end',
  });
  websocket.send('still here?');
  const [echo] = await once(websocket, 'message');
  t.equal(String(echo), 'still here?');
  websocket.close();
  await waitFor(() => childrenOf(edge.pid!).every((pid) => !before.includes(pid)), {
    what: 'the other one to end with its websocket',
  });
  t.equal(childrenOf(edge.pid!).length, 2);
  await goesOn(load);
  await load.stop();
  t.same(load.failures, []);
  t.ok(load.connections.h1 > from, 'who kept a connection was told to make another');
  const metrics = await (await fetch(admin(started, '/metrics'))).text();
  t.match(metrics, 'lockstep_edge_worker_restarts 0', 'none of this is a worker that died');
});

t.test('no page of the web and no GET reloads an edge', async (t) => {
  const configured = await serveShop(t);
  const started = await startTestEdge(t, configured, { dataDir: testFolder(t) });
  const url = admin(started, '/reload');
  t.equal((await fetch(url, { method: 'POST', headers: { origin: 'https://evil.example' } })).status, 400);
  const get = await fetch(url);
  t.same([get.status, get.headers.get('allow')], [405, 'POST']);
});

/** Sends each connection to the next edge that says it is ready, as a balancer in front of a fleet does. */
async function startBalancer(t: Test, edges: readonly Started[]) {
  const open = new Map<Socket, Started>();
  let ready: readonly Started[] = edges;
  let turn = 0;
  let stopped = false;
  async function look(): Promise<void> {
    while (!stopped) {
      const states = await Promise.all(edges.map((edge) => isReady(edge).catch(() => false)));
      ready = edges.filter((_, i) => states[i]);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const server = createServer((client) => {
    turn += 1;
    const edge = ready[turn % ready.length]!;
    const upstream = connect(edge.addresses.https.port, '127.0.0.1');
    open.set(client, edge);
    client.on('close', () => open.delete(client)).on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    upstream.on('close', () => client.end(() => client.destroy()));
    client.pipe(upstream).pipe(client);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const looking = look();
  t.teardown(async () => {
    stopped = true;
    server.close();
    for (const client of open.keys()) client.destroy();
    await looking;
  });
  return {
    port: (server.address() as AddressInfo).port,
    connectionsTo: (edge: Started) => [...open.values()].filter((one) => one === edge).length,
    /** How many edges it sends connections to. */
    get ready() {
      return ready.length;
    },
  };
}

async function startPair(t: Test, configured: ConfiguredStore) {
  const pair = [];
  for (const node of ['edge-1', 'edge-2'])
    pair.push(await startTestEdge(t, configured, { node, dataDir: testFolder(t), drainDelayMs: 500 }));
  const [one, other] = pair as [Started, Started];
  for (const edge of pair) await waitFor(() => isReady(edge), { what: 'an edge to be ready' });
  const balancer = await startBalancer(t, pair);
  return { one, other, balancer };
}

t.test(
  'one of two edges behind a balancer is drained, comes back, and is stopped, with no request failed',
  async (t) => {
    const configured = await serveShop(t);
    const { one, other, balancer } = await startPair(t, configured);
    const load = startLoad({ port: balancer.port, host, root: configured.root });
    const carriesBoth = () =>
      waitFor(() => balancer.connectionsTo(one) > 0 && balancer.connectionsTo(other) > 0, {
        what: 'both to carry connections',
        progress: () => load.answered,
      });
    await carriesBoth();
    await goesOn(load);

    await configured.commit({ op: 'put', kind: 'drain', id: 'edge-1', value: { since: 'noon' } });
    await waitFor(async () => !(await isReady(one)), { what: 'edge-1 to say that it is not ready' });
    await waitFor(() => balancer.connectionsTo(one) === 0, {
      what: 'its clients to go elsewhere',
      progress: () => load.answered,
    });
    await goesOn(load);
    const { report } = await presenceOf(
      configured,
      (presence) => presence.report.node === 'edge-1' && presence.report.drained?.connections === 0,
      'edge-1 to say that nobody is left',
    );
    t.match(report, { drained: { since: 'noon' }, workers: { ready: 1, of: 1 } });
    t.equal(await isReady(other), true);
    const late = startLoad({ port: one.addresses.https.port, host, root: configured.root, clients: 1 });
    await goesOn(late, 5);
    await late.stop();
    t.same(late.failures, [], 'who comes to it all the same is served');

    await configured.commit({ op: 'delete', kind: 'drain', id: 'edge-1' });
    await waitFor(() => balancer.ready === 2, { what: 'edge-1 to be ready' });
    await configured.commit({ op: 'put', kind: 'drain', id: 'edge-2', value: { since: 'one' } });
    await waitFor(() => balancer.connectionsTo(other) === 0 && balancer.connectionsTo(one) > 0, {
      what: 'clients to come back to edge-1',
      progress: () => load.answered,
    });
    await configured.commit({ op: 'delete', kind: 'drain', id: 'edge-2' });
    await waitFor(() => balancer.ready === 2, { what: 'edge-2 to be ready' });

    await one.edge.stop();
    await goesOn(load);
    await load.stop();
    t.same(load.failures, []);
    t.same(
      (await configured.store.listNodes()).map(({ report }) => report.node),
      ['edge-2'],
    );
  },
);

t.test('a drain outlives a restart of the edge, without the store too', async (t) => {
  const configured = await serveShop(t);
  await configured.commit({ op: 'put', kind: 'drain', id: 'edge-1', value: { since: 'noon' } });
  const dataDir = testFolder(t);
  const first = await startTestEdge(t, configured, { dataDir });
  await waitFor(async () => (await (await fetch(admin(first, '/readyz'))).text()).includes('since noon'), {
    what: 'it to be drained',
  });
  await first.edge.stop();
  const second = await startTestEdge(
    t,
    configured,
    { dataDir },
    {
      async *follow(_from, { signal }) {
        await once(signal, 'abort').catch(() => {});
      },
      report: async () => {},
      leave: async () => {},
      sendHint: async () => {},
      watchHints: () => () => {},
      close: async () => {},
    },
  );
  const { status, checks } = (await (await fetch(admin(second, '/readyz'))).json()) as {
    status: string;
    checks: object[];
  };
  t.equal(status, 'not_ready');
  t.match(
    checks.find((check) => 'name' in check && check.name === 'traffic'),
    { ok: false, detail: /since noon/ },
  );
});
