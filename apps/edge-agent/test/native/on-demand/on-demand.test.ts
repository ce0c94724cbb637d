import { createConnection } from 'node:net';
import { connect } from 'node:tls';
import { waitFor } from '@lockstep/testkit';
import t from 'tap';
import { connectTls, tlsVersions } from '../../connect-tls.ts';
import { fetchPlain } from '../../fetch-plain.ts';
import { fetchThrough } from '../../fetch-through.ts';
import { startUpstream } from '../../start-upstream.ts';
import { type ServingWorker, startWorker } from '../../start-worker.ts';

const host = 'new.example.com';
const unrecognized = { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' };

async function startOnDemand(
  t: Parameters<typeof startWorker>[0],
  onDemand: Parameters<ServingWorker['settingsChange']>[0] = {},
): Promise<ServingWorker> {
  const edge = await startWorker(t);
  await edge.applied(await edge.commit(edge.settingsChange(onDemand)));
  return edge;
}

const open = (edge: ServingWorker, servername = host) =>
  connectTls(edge.httpsPort, { servername, ca: edge.root });

const held = (edge: ServingWorker, count: number) =>
  waitFor(() => edge.worker.figures().held === count, { what: `${count} held handshakes` });

async function issue(edge: ServingWorker, name = host) {
  const value = await edge.certificateRecord(name);
  return edge.applied(await edge.commit({ op: 'put', kind: 'certificate', id: name, value }));
}

for (const version of tlsVersions) {
  t.test(`${version}: a handshake for an unknown name goes on when its certificate comes`, async (t) => {
    const edge = await startOnDemand(t);
    const opening = connectTls(edge.httpsPort, {
      servername: 'NEW.example.com',
      ca: edge.root,
      minVersion: version,
      maxVersion: version,
    });
    await held(edge, 1);
    t.same(edge.asks, [{ host, client: '127.0.0.1' }]);
    await issue(edge);
    const socket = await opening;
    t.equal(socket.getPeerCertificate().subjectaltname, `DNS:${host}`);
    socket.destroy();
    t.same(edge.enough, [host]);
    t.same(edge.worker.figures().handshakeFailures, {});
  });

  t.test(`${version}: a refusal ends the wait at once, with unrecognized_name`, async (t) => {
    const edge = await startOnDemand(t);
    const options = { servername: host, minVersion: version, maxVersion: version };
    const refused = t.rejects(connectTls(edge.httpsPort, options), unrecognized);
    await held(edge, 1);
    edge.worker.refuse('other.example.com', null);
    edge.worker.refuse(host, '127.0.0.2');
    t.equal(edge.worker.figures().held, 1, 'of this host, and to this client, only');
    edge.worker.refuse(host, '127.0.0.1');
    await refused;
    t.same(edge.worker.figures().handshakeFailures, { unknown_name: 1 });
  });

  t.test(`${version}: a handshake is held no longer than the settings say`, async (t) => {
    const edge = await startOnDemand(t, { holdMs: 50 });
    const options = { servername: host, minVersion: version, maxVersion: version };
    await t.rejects(connectTls(edge.httpsPort, options), unrecognized);
    t.same(edge.asks.length, 1);
    t.same(edge.enough, [host]);
    t.equal(edge.worker.figures().held, 0);
  });
}

t.test('fifty handshakes for one name ask once, and all go on together', async (t) => {
  const edge = await startOnDemand(t);
  const opening = Promise.all(Array.from({ length: 50 }, () => open(edge)));
  await held(edge, 50);
  t.equal(edge.asks.length, 1);
  await issue(edge, 'other.example.com');
  t.equal(edge.worker.figures().held, 50, 'another certificate lets none of them go on');
  await issue(edge);
  for (const socket of await opening) socket.destroy();
  t.equal(edge.worker.figures().held, 0);
});

for (const how of ['end', 'destroy', 'resetAndDestroy'] as const) {
  t.test(`a client that goes away (${how}) frees its place`, async (t) => {
    const edge = await startOnDemand(t);
    const raw = createConnection({ host: '127.0.0.1', port: edge.httpsPort });
    connect({ socket: raw, servername: host }).on('error', () => {});
    await held(edge, 1);
    raw[how]();
    await held(edge, 0);
    raw.destroy();
    t.same(edge.enough, [host]);
  });
}

t.test('one client address holds no more than a hundred handshakes', async (t) => {
  const edge = await startOnDemand(t);
  const opening = Array.from({ length: 100 }, (_, i) => open(edge, `n${i % 10}.example.com`));
  const all = Promise.allSettled(opening);
  await held(edge, 100);
  await t.rejects(open(edge), unrecognized);
  t.same(edge.worker.figures().handshakeFailures, { not_held: 1 });
  t.same(edge.asks.length, 10);
  for (let i = 0; i < 10; i += 1) edge.worker.refuse(`n${i}.example.com`, null);
  await all;
  const late = open(edge);
  await held(edge, 1);
  await issue(edge);
  (await late).destroy();
});

for (const version of tlsVersions) {
  t.test(`${version}: a name with a trailing dot is the same host`, async (t) => {
    const edge = await startOnDemand(t);
    const options = { servername: `${host}.`, minVersion: version, maxVersion: version };
    const opening = connectTls(edge.httpsPort, { ...options, rejectUnauthorized: false });
    await held(edge, 1);
    await issue(edge);
    (await opening).destroy();
    (await connectTls(edge.httpsPort, { ...options, rejectUnauthorized: false })).destroy();
    t.equal(edge.asks.length, 1, 'nobody is asked once it has a certificate');
  });
}

t.test('names that nobody may have, and hosts that a route names, are refused at once', async (t) => {
  const edge = await startOnDemand(t);
  await edge.applied(
    await edge.commit(edge.routeChange('r', ['routed.example.com'], ['http://127.0.0.1:1'])),
  );
  const names = ['localhost', 'under_score.example.com', '-a.example.com', 'routed.example.com'];
  names.push(' a.example.com', 'a.example.com..', 'b\u00fccher.example.com');
  for (const name of names) {
    await t.rejects(open(edge, name), unrecognized, name);
  }
  t.same(edge.asks, []);
});

t.test('without on-demand nothing is asked; turned off, it lets go of what is held', async (t) => {
  const edge = await startWorker(t);
  await t.rejects(open(edge), unrecognized);
  await edge.applied(await edge.commit(edge.settingsChange(null)));
  await t.rejects(open(edge), unrecognized);
  t.same(edge.asks, []);
  await edge.applied(await edge.commit(edge.settingsChange({})));
  const refused = t.rejects(open(edge), unrecognized);
  await held(edge, 1);
  await edge.commit({ op: 'delete', kind: 'edge-settings', id: 'settings' });
  await refused;
});

t.test('hosts with a certificate that no route names go to the on-demand upstreams, in turn', async (t) => {
  const answering = async (body: string) =>
    (await startUpstream(t, (request, response) => response.end(`${body} ${request.headers.host}`))).url;
  const upstreams = [{ url: await answering('one') }, { url: await answering('two') }];
  const edge = await startOnDemand(t);
  await issue(edge);
  await edge.applied(await edge.serve('r', ['routed.example.com'], [await answering('route')], ['/api']));
  const at = { port: edge.httpsPort, root: edge.root };
  const redirect = async (name: string) => {
    const { status, headers } = await fetchPlain(edge.httpPort, '/p', name);
    return status === 308 ? headers.location : status;
  };
  t.match(await fetchThrough({ ...at, host }), { status: 404 }, 'without upstreams');
  t.equal(await redirect(host), 404);

  await edge.applied(await edge.commit(edge.settingsChange({ upstreams })));
  const bodies = [await fetchThrough({ ...at, host }), await fetchThrough({ ...at, host, path: '/x?y' })];
  t.same(bodies.map(({ body }) => body).sort(), [`one ${host}`, `two ${host}`]);
  t.equal(
    (await fetchThrough({ ...at, host: 'routed.example.com', path: '/api' })).body,
    'route routed.example.com',
  );
  t.match(await fetchThrough({ ...at, host: 'routed.example.com', path: '/' }), { status: 404 });
  t.match(
    await fetchThrough({ ...at, host: 'unknown.example.com', servername: host }),
    { status: 404 },
    'a host without a certificate is nobody’s',
  );
  t.equal(await redirect(host), `https://${host}:${edge.httpsPort}/p`);
  t.equal(await redirect('unknown.example.com'), 404);

  await edge.applied(await edge.commit(edge.settingsChange({ upstreams: upstreams.slice(0, 1) })));
  for (let i = 0; i < 2; i += 1) t.equal((await fetchThrough({ ...at, host })).body, `one ${host}`);
  await edge.applied(await edge.commit(edge.settingsChange(null)));
  t.match(await fetchThrough({ ...at, host }), { status: 404 });
});
