import { connect } from 'node:tls';
import {
  freePort,
  type Pebble,
  startDealer,
  startPebble,
  startUpstream,
  testFolder,
  waitFor,
} from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { httpsRequest } from './fleet/https-client.ts';
import { startFleet } from './fleet/start-fleet.ts';

const handshakes = 50;
const unrecognizedName = 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME';

t.test(
  'on demand: one question and one order for each new name, over two edges and two control planes',
  async (t) => {
    const { fleet, pebble, ask, upstream, https } = await start(t);
    const { controlPlanes, edges } = fleet;
    const roots = await pebble.issuingRoots();
    const [good, bad] = ['good.example.com', 'bad.example.com'];

    await t.test('off by default: an unknown name is refused, and nobody is asked', async (t) => {
      for (const edge of edges) t.equal(await alertOf(edge.https, good), unrecognizedName, edge.node);
      t.strictSame(ask.hosts, []);
    });

    const onDemand = { ask: ask.url, upstreams: [{ url: upstream }] };
    t.match(await fleet.call('PUT', '/v1/settings', { onDemand }), { status: 200 });
    await everyEdgeKnows(fleet);

    await t.test(`${handshakes} handshakes at once for an unknown name, dealt to two edges`, async (t) => {
      const answers = await Promise.all(
        Array.from({ length: handshakes }, () => httpsRequest({ port: https.port, host: good, ca: roots })),
      );
      t.strictSame(new Set(answers.map(({ status }) => status)), new Set([200]), 'all succeed');
      t.ok(answers.every(({ body }) => JSON.parse(body).headers.host === good));
      t.ok(https.dealt.every((connections) => connections >= handshakes / 2));
      t.strictSame(ask.hosts, [good], 'the endpoint was asked once');
      t.equal(pebble.orderCount(), 1, 'the CA saw one order');
    });

    await t.test(
      'a refused name gets the alert, no order, and is not asked for again for a while',
      async (t) => {
        for (const edge of [...edges, ...edges])
          t.equal(await alertOf(edge.https, bad), unrecognizedName, edge.node);
        t.strictSame(ask.hosts, [good, bad]);
        t.equal(pebble.orderCount(), 1);
        t.match(await fleet.call('GET', `/v1/certificates/${bad}`), { status: 404 });
      },
    );

    await t.test('its certificate outlives the processes', async (t) => {
      await Promise.all(controlPlanes.map(({ process }) => process.signal('SIGTERM')));
      for (const edge of edges) {
        await edge.process.signal('SIGTERM');
        await edge.start();
        t.equal((await fleet.get(edge, good, roots)).status, 200, `${edge.node} starts from its disk`);
      }
      await Promise.all(controlPlanes.map((one) => one.start()));
      for (const edge of edges) t.equal((await fleet.get(edge, good, roots)).status, 200, edge.node);
      t.strictSame(ask.hosts, [good, bad]);
      t.equal(pebble.orderCount(), 1);
    });

    await t.test('a route that comes to name it takes the certificate over', async (t) => {
      const other = await startUpstream((_request, response) => response.end('the route’s'));
      t.teardown(() => other.close());
      t.match(await fleet.post(good, other.url), { status: 201, body: { status: { state: 'live' } } });
      for (const edge of edges) t.equal((await fleet.get(edge, good, roots)).body, 'the route’s', edge.node);
      t.equal(pebble.orderCount(), 1);
    });
  },
);

async function start(t: Test) {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const ask = await startAsk(t);
  const httpPorts = await Promise.all([freePort(), freePort()]);
  const httpsPorts = await Promise.all([freePort(), freePort()]);
  const http = await startDealer({ ports: httpPorts });
  const https = await startDealer({ ports: httpsPorts });
  t.teardown(() => Promise.all([http.close(), https.close()]));
  const pebble: Pebble = await startPebble({ httpPort: http.port });
  t.teardown(() => pebble.close());
  const acme = { LOCKSTEP_ACME_DIRECTORY: pebble.directory, LOCKSTEP_ACME_CA_FILE: pebble.rootFile };
  const fleet = await startFleet(t, { dir: testFolder(t), acme, controlPlanes: 2, httpPorts, httpsPorts });
  return { fleet, pebble, ask, upstream: upstream.url, https };
}

/** Allows names that begin with "good". */
async function startAsk(t: Test) {
  const hosts: string[] = [];
  const server = await startUpstream((request, response) => {
    const host = new URL(request.url ?? '', 'http://ask').searchParams.get('domain') ?? '';
    hosts.push(host);
    response.writeHead(host.startsWith('good') ? 200 : 404).end();
  });
  t.teardown(() => server.close());
  return { url: `${server.url}/may-have-one`, hosts };
}

/** The settings have reached every edge. */
async function everyEdgeKnows({ call }: Awaited<ReturnType<typeof startFleet>>): Promise<void> {
  const { revision } = (await call('GET', '/v1/settings')).body;
  await waitFor(
    async () => {
      const { items } = (await call('GET', '/v1/nodes')).body;
      return items.every((node: { revision: number }) => node.revision >= revision);
    },
    { what: `revision ${revision} at every edge` },
  );
}

/** The error of a handshake that is refused. */
function alertOf(port: number, servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername }, () => {
      socket.destroy();
      reject(new Error(`a certificate is shown for ${servername}`));
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
