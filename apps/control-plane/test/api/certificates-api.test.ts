import { randomUUID } from 'node:crypto';
import { idleOrder, type OrderRecord, orderLanes } from '@lockstep/contract';
import { freePort, startPebble, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { putOrder } from '../../src/orders/order-record.ts';
import { answerChallenges } from '../answer-challenges.ts';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const host = 'shop.example.com';
const path = `/v1/certificates/${host}`;
const shop = { hosts: [host], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const wait = { prefer: 'wait=20' };
type ControlPlane = Awaited<ReturnType<typeof startControlPlane>>;

/** A route whose certificate has been issued; from then on no edge is there, so orders stay as the API leaves them. */
async function startIssued(
  test: Parameters<typeof startControlPlane>[0],
  dataDir: string,
): Promise<ControlPlane> {
  const controlPlane = await startControlPlane(test, dataDir);
  await issue(controlPlane);
  return controlPlane;
}

async function issue(controlPlane: ControlPlane): Promise<void> {
  const { call, report, store } = controlPlane;
  const stop = controlPlane.acknowledge('edge-1');
  await call('PUT', '/v1/routes/shop', { body: shop, headers: wait });
  stop();
  await report('edge-1');
  const presence = (await store.listNodes())[0];
  if (presence !== undefined) await store.removeNode('edge-1', presence.report.instance, { returns: false });
}

async function setOrder({ store }: ControlPlane, changes: Partial<OrderRecord>): Promise<void> {
  const order = await store.get('order', host);
  if (order === null) throw new Error('there is no order');
  await store.commit({ id: randomUUID(), changes: [putOrder(host, { ...order.value, ...changes })] });
}

t.test('lists managed and brought ones, issued or not, in one order and whole pages', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  const brought = (await call('POST', '/v1/certificates', { body: await makeCertificate(host) })).body.id;
  for (const name of ['a', 'b', 'z']) {
    await call('POST', '/v1/routes', { body: { ...shop, hosts: [`${name}.example.com`] } });
  }
  const all = ['a.example.com', 'b.example.com', brought, 'z.example.com'];
  for (const limit of [1, 2, 3, 4, 5]) {
    const ids: string[] = [];
    let pages = 0;
    for (let cursor: string | null = ''; cursor !== null; pages += 1) {
      const { body } = await call('GET', `/v1/certificates?limit=${limit}&cursor=${cursor}`);
      ids.push(...body.items.map(({ id }: { id: string }) => id));
      cursor = body.next;
    }
    t.strictSame(ids, all, `limit ${limit}`);
    t.equal(pages, Math.ceil(4 / limit), `no empty page with limit ${limit}`);
  }
});

t.test('lists those that fail by themselves, live ones too, in pages', async (t) => {
  const controlPlane = await startIssued(t, testFolder(t));
  const { call, store } = controlPlane;
  const at = new Date(Date.now() + 86_400_000).toISOString();
  const lastError = { detail: 'no', issuer: 'internal', step: 'idle', type: null, at };
  const waitingForDns = { since: at, checks: 3, detail: 'no' };
  await setOrder(controlPlane, { failures: 1, renewal: 'due', lastError, dueAt: at });
  for (let index = 100; index < 700; index += 1) {
    const well = idleOrder(`h${index}.example.com`, at, at);
    const order = index === 150 ? { ...well, lastError } : index === 699 ? { ...well, waitingForDns } : well;
    await store.commit({ id: `${index}`, changes: [putOrder(well.host, order)] });
  }
  for (const limit of [1, 2, 3, 100]) {
    const ids: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await call('GET', `/v1/certificates?failing=true&limit=${limit}&cursor=${cursor}`);
      t.ok(body.items.length <= limit);
      ids.push(...body.items.map(({ id }: { id: string }) => id));
      cursor = body.next;
    }
    t.strictSame(ids, ['h150.example.com', 'h699.example.com', host], `limit ${limit}`);
  }
  t.equal((await call('GET', '/v1/certificates?failing=perhaps')).status, 400);
});

t.test('a brought certificate keeps whose it is, and what is kept beside it', async (t) => {
  const { call, store } = await startControlPlane(t, testFolder(t));
  const body = await makeCertificate(host);
  const labels = { tenant: 'harbour-cafe', metadata: { plan: 'pro' } };
  const made = await call('POST', '/v1/certificates', { body: { ...body, ...labels } });
  t.match(made, { status: 201, body: labels });
  const again = await call('POST', '/v1/certificates', { body });
  t.match(again, { status: 200, body: { ...labels, revision: made.body.revision } }, 'left out: as it was');
  const metadata = { plan: 'free' };
  const moved = await call('POST', '/v1/certificates', { body: { ...body, metadata } });
  t.match(moved, { status: 200, body: { tenant: 'harbour-cafe' } });
  t.strictSame(moved.body.metadata, metadata);
  const claims = await store.findClaims('tenant harbour-cafe ', 10);
  t.match(claims, [{ kind: 'certificate', id: made.body.id }]);
  const refused = await call('POST', '/v1/certificates', { body: { ...body, tenant: '' } });
  t.match(refused, { status: 400, body: { errors: [{ pointer: '/tenant' }] } });
});

t.test(
  'whose a brought certificate is, and what is kept beside it, is changed without bringing it again',
  async (t) => {
    const { call, store } = await startControlPlane(t, testFolder(t));
    const labels = { tenant: 'harbour-cafe', metadata: { plan: 'pro', since: '2024' } };
    const { body: made } = await call('POST', '/v1/certificates', {
      body: { ...(await makeCertificate(host)), ...labels },
    });
    const own = `/v1/certificates/${made.id}`;
    const key = (await store.get('certificate', made.id))?.value.sealedKey;
    const patched = await call('PATCH', own, { body: { tenant: 'bakery', metadata: { plan: null } } });
    t.match(patched, { status: 200, body: { tenant: 'bakery', chain: made.chain, names: [host] } });
    t.strictSame(patched.body.metadata, { since: '2024' });
    t.match(await store.findClaims('tenant bakery ', 10), [{ id: made.id }]);
    t.same(await store.findClaims('tenant harbour-cafe ', 10), []);
    t.equal((await store.get('certificate', made.id))?.value.sealedKey, key);

    const { number } = await store.head();
    for (const [method, body] of [
      ['PATCH', {}],
      ['PATCH', { tenant: 'bakery', metadata: { plan: null } }],
      ['PUT', patched.body],
    ] as const)
      t.match(await call(method, own, { body }), { status: 200, body: { revision: patched.body.revision } });
    t.equal((await store.head()).number, number, 'what changes nothing is no commit');

    const bare = await call('PUT', own, { body: { ...patched.body, tenant: null, metadata: undefined } });
    t.equal(bare.status, 200);
    t.notOk('tenant' in bare.body || 'metadata' in bare.body, 'what is left out, or null, goes');
    const { items } = (await call('GET', '/v1/audit?limit=2')).body;
    t.match(items, [{}, {}], 'each change is told');

    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`k${index}`, 'v']));
    const more = Object.fromEntries(Object.keys(many).map((name) => [`x${name}`, 'v']));
    await call('PATCH', own, { body: { metadata: many } });
    for (const [method, body, pointer] of [
      ['PATCH', { metadata: more }, '/metadata'],
      ['PATCH', { tenant: '' }, '/tenant'],
      ['PATCH', { chain: made.chain }, '/chain'],
      ['PUT', { key: 'k' }, '/key'],
    ] as const)
      t.match(await call(method, own, { body }), { status: 400, body: { errors: [{ pointer }] } });

    await call('PUT', '/v1/routes/shop', { body: shop });
    for (const method of ['PATCH', 'PUT'])
      t.match(await call(method, path, { body: { tenant: 'bakery' } }), {
        status: 409,
        body: { code: 'wrong_state' },
      });
    t.equal((await call('PATCH', '/v1/certificates/brought_0', { body: {} })).status, 404);
  },
);

t.test('tells when a certificate is renewed, and by whose word', async (t) => {
  const controlPlane = await startIssued(t, testFolder(t));
  const renewAt = new Date(Date.now() + 86_400_000).toISOString();
  const window = { start: renewAt, end: renewAt, explanationUrl: 'https://ca.example.net/why' };
  await setOrder(controlPlane, { renewAt, ari: { window, checkAt: renewAt } });
  const { body } = await controlPlane.call('GET', path);
  t.match(body, { origin: 'managed', names: [host], renewAt, expiresSoon: false, revokedAt: null });
  t.strictSame(body.renewalWindow, window);
});

t.test('renewing makes the order due at once, whatever failed before', async (t) => {
  const controlPlane = await startIssued(t, testFolder(t));
  const until = new Date(Date.now() + 86_400_000).toISOString();
  const lastError = { detail: 'no', issuer: 'internal', step: 'idle', type: null, at: until };
  const setbacks = { internal: { failures: 3, until } };
  const waitingForDns = { since: until, checks: 3, detail: 'no' };
  await setOrder(controlPlane, { failures: 3, lastError, setbacks, waitingForDns, dueAt: until });
  const { status, body } = await controlPlane.call('POST', `${path}/renew`);
  t.equal(status, 202);
  t.match(body, { id: host, lastError: null, nextAttemptAt: null, renewal: 'asked' });
  const order = await controlPlane.store.get('order', host);
  t.match(order?.value, {
    renewal: 'asked',
    failures: 0,
    setbacks: {},
    waitingForDns: null,
    lastError: null,
  });
  t.strictSame(
    (await controlPlane.store.listDue('order', Date.now(), 10, orderLanes.pressing)).map(({ id }) => id),
    [host],
    'first in the queue',
  );
  t.equal((await controlPlane.call('POST', '/v1/certificates/nobody.example.com/renew')).status, 404);
});

t.test('renewing does not bring back what no route needs', async (t) => {
  const { call, store } = await startIssued(t, testFolder(t));
  await call('DELETE', '/v1/routes/shop');
  const before = await store.get('order', host);
  t.match(await call('POST', `${path}/renew`), {
    status: 409,
    body: { code: 'wrong_state', detail: /no route names/ },
  });
  t.strictSame(await store.get('order', host), before);
});

t.test('revoking tells the CA first, then marks the certificate and obtains another', async (t) => {
  const controlPlane = await startControlPlane(t, testFolder(t));
  const { call, store } = controlPlane;
  const pebble = await startPebble({ httpPort: await answerChallenges(t, () => store) });
  t.teardown(() => pebble.close());
  const putIssuer = (directory: string) =>
    call('PUT', '/v1/issuers/pebble', { body: { directory, roots: pebble.rootPem } });
  await putIssuer(pebble.directory);
  await call('PUT', '/v1/settings', { body: { issuers: ['pebble'] } });
  await issue(controlPlane);
  const revoke = () => call('POST', `${path}/revoke`, { body: { reason: 'keyCompromise' } });
  const before = await store.get('certificate', host);
  const serial = before?.value.serialNumber ?? '';
  t.equal(before?.value.issuer, 'pebble');

  await putIssuer(`https://127.0.0.1:${await freePort()}/dir`);
  t.match(await revoke(), {
    status: 502,
    body: { code: 'issuer_failed', detail: /issuer "pebble": the CA cannot be reached/ },
  });
  t.strictSame(await store.get('certificate', host), before, 'a refusal changes nothing');
  t.match(await pebble.revocationStatus(serial), { status: 'Valid' });

  await putIssuer(pebble.directory);
  t.match(await revoke(), { status: 202, body: { id: host, revokedAt: String } });
  t.strictSame(await pebble.revocationStatus(serial), { status: 'Revoked', reason: 1 });
  t.match((await store.get('order', host))?.value, { renewal: 'revoked' });
  t.strictSame(
    (await store.listDue('order', Date.now(), 10, orderLanes.pressing)).map(({ id }) => id),
    [host],
  );
  const { revision } = (await call('GET', path)).body;
  t.equal((await revoke()).status, 202, 'once more is no failure');
  t.equal((await call('GET', path)).body.revision, revision);
  const { body: told } = await call('GET', '/v1/events?limit=100&type=certificate.revoked');
  t.match(told.items, [{ subject: { id: host }, data: { serialNumber: serial, revokedAt: String } }]);
  t.equal(told.items.length, 1, 'told once');

  controlPlane.acknowledge('edge-1');
  const next = await waitFor(
    async () => {
      const { body } = await call('GET', path);
      return body.serialNumber !== serial && body;
    },
    { what: 'another certificate' },
  );
  t.match(next, { state: 'live', revokedAt: null });
  t.equal(pebble.accountCount(), 1, 'the issuer that went and came back kept its account');
});

t.test('revoking needs a certificate and a reason that CAs know', async (t) => {
  const { call } = await startControlPlane(t, testFolder(t));
  await call('PUT', '/v1/routes/shop', { body: shop });
  t.match(await call('POST', `${path}/revoke`), { status: 409, body: { detail: /not been issued/ } });
  t.match(await call('POST', `${path}/revoke`, { body: { reason: 'boredom' } }), {
    status: 400,
    body: { errors: [{ pointer: '/reason', detail: /keyCompromise/ }] },
  });
});

t.test('a managed certificate is deleted only when no route names its host', async (t) => {
  const { call, store } = await startIssued(t, testFolder(t));
  t.match(await call('DELETE', path), {
    status: 409,
    body: { code: 'in_use', route: 'shop', certificate: host, detail: /route "shop"/ },
  });
  await call('DELETE', '/v1/routes/shop');
  t.equal((await call('DELETE', path)).status, 204);
  t.equal((await call('GET', path)).status, 404);
  t.strictSame([await store.get('order', host), await store.get('certificate', host)], [null, null]);
});

t.test(
  'a route names a certificate that there is to show to its upstreams, and keeps it from going',
  async (t) => {
    const { call } = await startControlPlane(t, testFolder(t));
    const put = (clientCertificate: string) => {
      const upstreams = [
        { url: 'https://10.0.0.7' },
        { url: 'https://10.0.0.8', tls: { clientCertificate } },
      ];
      return call('PUT', '/v1/routes/shop', { body: { ...shop, upstreams } });
    };
    t.match(await put('brought_none'), {
      status: 400,
      body: {
        errors: [{ pointer: '/upstreams/1/tls/clientCertificate', detail: /POST \/v1\/certificates/ }],
      },
    });
    const { id } = (
      await call('POST', '/v1/certificates', { body: await makeCertificate('edge.example.com') })
    ).body;
    t.match((await put(id)).body, { upstreams: [{}, { tls: { clientCertificate: id } }] });
    t.match(await call('DELETE', `/v1/certificates/${id}`), {
      status: 409,
      body: { code: 'in_use', route: 'shop', detail: /to its upstreams/ },
    });
    await call('PUT', '/v1/routes/shop', { body: shop });
    t.equal((await call('DELETE', `/v1/certificates/${id}`)).status, 204);
  },
);

t.test('deleting one whose order is under way leaves the clearing up to whoever drives it', async (t) => {
  const controlPlane = await startIssued(t, testFolder(t));
  const { call, store } = controlPlane;
  await call('DELETE', '/v1/routes/shop');
  await setOrder(controlPlane, { step: 'placed', onDemand: true });
  t.equal((await call('DELETE', path)).status, 204);
  const order = await store.get('order', host);
  t.match(order?.value, { step: 'placed', onDemand: false, unusedSince: String });
  t.ok(Date.parse(order?.value.dueAt ?? '') <= Date.now());
});

t.test('shows the last attempts', async (t) => {
  const { call, store } = await startIssued(t, testFolder(t));
  t.match((await call('GET', `${path}/attempts`)).body, {
    items: [{ number: 1, issuer: 'internal', outcome: 'issued', problem: null, next: /renewed around/ }],
  });
  const attempt = {
    number: 1,
    issuer: 'internal',
    step: 'idle',
    challenge: null,
    outcome: 'failed' as const,
    detail: 'the CA refused',
    problem: { status: 403, type: 'urn:ietf:params:acme:error:caa', detail: 'no', subproblems: [] },
    next: 'tried again',
    at: '2026-01-01T00:00:00.000Z',
  };
  const value = { attempts: [attempt] };
  await store.commit({ id: 'x', changes: [{ op: 'put', kind: 'attempts', id: host, value }] });
  t.strictSame((await call('GET', `${path}/attempts`)).body, { items: [attempt] });
  t.equal((await call('GET', '/v1/certificates/nobody.example.com/attempts')).status, 404);
});
