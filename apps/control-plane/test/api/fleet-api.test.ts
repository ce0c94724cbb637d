import { edgeKinds } from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { startDnsServer, testFolder, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { startControlPlane } from '../start-control-plane.ts';

const shop = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const wait = { prefer: 'wait=60' };
const day = 86_400_000;

/** A store whose clock the test moves; the control plane's own is the machine's. */
function movableStore(offsetMs = 0) {
  let moved = offsetMs;
  const store = createSqliteStore({ path: ':memory:', now: () => Date.now() + moved });
  return {
    store,
    move(ms: number) {
      moved += ms;
    },
  };
}

t.test('a node that fell silent is named and expected until it is removed', async (t) => {
  const { store, move } = movableStore();
  const { call, acknowledge, report } = await startControlPlane(t, testFolder(t), {}, { store });
  const stop = acknowledge('edge-1');
  acknowledge('edge-2');
  const post = await call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers: wait });
  t.match(post, { status: 201, body: { status: { nodes: { live: 2, of: 2, expected: 2, lost: [] } } } });
  t.match(await call('GET', '/v1/fleet'), {
    status: 200,
    body: { inStep: true, behind: [], nodes: { live: 2, of: 2, expected: 2, lost: [] } },
  });

  stop();
  move(11_000);
  await report('edge-2');
  const route = async () => (await call('GET', '/v1/routes/shop')).body.status;
  await waitFor(async () => (await route()).nodes.lost.length === 1, { what: 'edge-1 to be lost' });
  const nodes = {
    live: 1,
    of: 1,
    expected: 2,
    lost: ['edge-1'],
    behind: [{ node: 'edge-1', reason: /lost/ }],
  };
  t.match(await route(), { state: 'live', nodes });
  t.match((await call('GET', '/v1/fleet')).body, {
    inStep: false,
    behind: [{ node: 'edge-1', reason: /lost/, since: String }],
    nodes: { live: 1, of: 1, expected: 2, lost: ['edge-1'] },
  });
  t.match((await call('GET', '/v1/nodes/edge-1')).body, { state: 'lost', fault: /is lost/ });

  await call('PATCH', '/v1/settings', { body: { liveNeeds: 'expected' } });
  await waitFor(async () => (await route()).state === 'deploying', { what: 'the setting to count' });
  t.match(await route(), { state: 'deploying', reason: /^edge-1 is lost/, nodes });
  t.match((await call('GET', '/v1/certificates/shop.example.com')).body, { state: 'deploying' });

  t.match(await call('DELETE', '/v1/nodes/edge-2'), { status: 409, body: { code: 'wrong_state' } });
  t.equal((await call('DELETE', '/v1/nodes/edge-1')).status, 204);
  t.match(await route(), { state: 'live', nodes: { live: 1, of: 1, expected: 1, lost: [], behind: [] } });
  t.equal((await call('DELETE', '/v1/nodes/edge-1')).status, 404);
  await report('edge-1');
  t.match((await route()).nodes, { live: 2, of: 2, expected: 2 }, 'one that reports again is expected again');
});

t.test('a drained node is told so, and counts no longer from when it says that it is', async (t) => {
  const { call, acknowledge, report, store } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  await report('edge-2');
  const drained = { since: '2026-01-01T00:00:00.000Z', connections: 4 };
  t.match(await call('POST', '/v1/nodes/edge-3/drain'), { status: 404 });
  const asked = await call('POST', '/v1/nodes/edge-2/drain');
  t.match(asked, { status: 202, body: { drain: { inForce: false, connections: null } } });
  const { since } = asked.body.drain;
  t.match(await store.get('drain', 'edge-2'), { value: { since } });
  t.match((await call('POST', '/v1/nodes/edge-2/drain')).body.drain, { since }, 'once is enough');
  const post = call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers: wait });
  const route = async () => (await call('GET', '/v1/routes/shop')).body.status?.nodes;
  await waitFor(async () => (await route())?.behind.some((one: { node: string }) => one.node === 'edge-2'), {
    what: 'edge-2 to be behind',
  });

  await report('edge-2', { applied: null, drained });
  t.match(await post, {
    status: 201,
    body: { status: { state: 'live', nodes: { live: 1, of: 1, expected: 1, lost: [], behind: [] } } },
  });
  t.match((await call('GET', '/v1/nodes/edge-2')).body, {
    state: 'live',
    drain: { since, inForce: true, connections: 4 },
  });
  t.match((await call('GET', '/v1/fleet')).body, {
    inStep: true,
    nodes: { live: 1, of: 1, expected: 1, drained: ['edge-2'] },
  });

  t.match(await call('POST', '/v1/nodes/edge-2/undrain'), {
    status: 202,
    body: { drain: { since: drained.since, inForce: true } },
  });
  t.equal(await store.get('drain', 'edge-2'), null);
  await report('edge-2');
  t.match((await call('GET', '/v1/nodes')).body.items, [{ drain: null }, { id: 'edge-2', drain: null }]);
  t.match(await route(), { live: 2, of: 2, expected: 2 });
  t.match(await call('POST', '/v1/nodes/edge-2/undrain'), { status: 202 });
});

t.test('a node that is lost for long is forgotten by itself', async (t) => {
  const { store, move } = movableStore();
  const { call, report } = await startControlPlane(t, testFolder(t), {}, { store });
  await report('edge-1');
  await call('PATCH', '/v1/settings', { body: { forgetNodesAfter: '10m' } });
  const listed = async () => (await call('GET', '/v1/nodes')).body.items;
  move(590_000);
  await waitFor(async () => (await listed())[0]?.state === 'lost', { what: 'edge-1 to be lost' });
  move(11_000);
  await waitFor(async () => (await listed()).length === 0, { what: 'edge-1 to be forgotten' });
});

t.test(
  'a control plane whose clock is wrong issues nothing, says why, and writes the store’s dates',
  async (t) => {
    const { store, move } = movableStore(-400 * day);
    const { call, acknowledge } = await startControlPlane(t, testFolder(t), {}, { store });
    acknowledge('edge-1');
    const reason =
      'the clock of this control plane is 400 days ahead of the store’s: it issues no certificates';
    t.match(await call('GET', '/readyz'), {
      status: 503,
      body: { checks: [{ name: 'store' }, { name: 'edges' }, { name: 'clock', ok: false, detail: reason }] },
    });
    const { body } = await call('POST', '/v1/routes', {
      body: { id: 'shop', ...shop },
      headers: { prefer: 'wait=1' },
    });
    t.match(body.status, { state: 'pending', reason });
    t.ok(Math.abs(Date.parse(body.createdAt) - (await store.now())) < day, 'dated by the store’s clock');
    t.equal(await store.count('certificate'), 0);
    t.match((await call('GET', '/v1/fleet')).body.clock, { fault: reason });

    const live = call('PATCH', '/v1/routes/shop', { body: { paths: ['/a'] }, headers: wait });
    move(400 * day);
    t.match((await live).body.status, { state: 'live' }, 'and goes on once it is right');
    t.equal((await call('GET', '/readyz')).status, 200);
  },
);

t.test('a node that lacks a kind of records, or refuses one, is named until it is upgraded', async (t) => {
  const { call, report } = await startControlPlane(t, testFolder(t));
  const refusal = {
    kind: 'route',
    id: 'shop',
    revision: 1,
    reason: 'is of version 2, where version 1 is read',
  };
  const behind = async () => {
    const { body } = await call('GET', '/v1/fleet');
    t.equal(body.inStep, body.behind.length === 0);
    t.equal(body.nodes.live, 3 - body.behind.length);
    return body.behind.map(({ node, reason }: { node: string; reason: string }) => `${node} ${reason}`);
  };
  await report('edge-1');
  await report('edge-2', { refusals: [refusal] });
  for (const lacked of edgeKinds) {
    await report('edge-3', { capabilities: { kinds: edgeKinds.filter((kind) => kind !== lacked) } });
    t.same(await behind(), [
      `edge-2 refused 1 records, among them route shop: ${refusal.reason}`,
      `edge-3 does not know what a ${lacked} is; upgrade it`,
    ]);
  }
  await report('edge-3', { capabilities: { kinds: [...edgeKinds, 'of-a-later-version'] } });
  await report('edge-2');
  t.same(await behind(), []);
});

t.test('the skew of a node’s clock is shown', async (t) => {
  const { call, report } = await startControlPlane(t, testFolder(t));
  await report('edge-1', { clock: Date.now() - 2 * 3_600_000 });
  await report('edge-2');
  const [one, two] = (await call('GET', '/v1/nodes')).body.items;
  t.ok(one.clockSkewMs < -7_000_000 && one.clockSkewMs > -7_300_000, `${one.clockSkewMs} ms`);
  t.ok(Math.abs(two.clockSkewMs) < 60_000);
  t.match((await call('GET', '/v1/fleet')).body.clock, { nodes: [{ node: 'edge-1' }] });
  await report('edge-1', { clock: 1e300 });
  t.equal((await call('GET', '/v1/nodes')).status, 200, 'whatever a node makes of its clock');
});

t.test('a node tells how it follows, and for how long it has not applied what there is', async (t) => {
  const { call, report, store } = await startControlPlane(t, testFolder(t));
  const applied = await store.head();
  const feed = { state: 'syncing', since: new Date().toISOString(), detail: null, records: 1_200 } as const;
  await report('edge-1', { applied, feed });
  t.match((await call('GET', '/v1/nodes/edge-1')).body, { configurationAgeMs: 0, feed, fault: null });
  await call('POST', '/v1/routes', { body: shop });
  const node = await waitFor(
    async () => {
      const { body } = await call('GET', '/v1/nodes/edge-1');
      return body.configurationAgeMs > 0 && body;
    },
    { what: 'the age to show' },
  );
  t.match(node, { revision: applied.number });
});

t.test('a node that stood still before the control plane started is not in step', async (t) => {
  const { store } = movableStore();
  await store.open({ create: true, expectedEpoch: null });
  const value = { revision: { epoch: 'e', number: 0 } };
  const before = await store.commit({
    id: 'first',
    changes: [{ op: 'put', kind: 'confirmation', id: 'edge-9', value }],
  });
  const { call, report } = await startControlPlane(t, testFolder(t), {}, { store });
  await report('edge-1', { applied: before });
  const status = await waitFor(
    async () => {
      const { body } = await call('GET', '/v1/fleet');
      return body.behind.length > 0 && body;
    },
    { what: 'the node to be found behind' },
  );
  t.match(status.behind, [{ node: 'edge-1', reason: /has applied revision 1 of \d+/ }]);
});

t.test('nothing is called in step while the store cannot be reached', async (t) => {
  const { call, report, store } = await startControlPlane(t, testFolder(t));
  await report('edge-1');
  const status = async () => (await call('GET', '/v1/fleet')).body;
  await waitFor(async () => (await status()).inStep, { what: 'the fleet to be in step' });
  t.match((await status()).store, { reachable: true, since: null });
  await store.close();
  await waitFor(async () => !(await status()).inStep, { what: 'the store to be missed' });
  t.match(await status(), { store: { reachable: false, since: String, detail: /closed/ } });
});

t.test('what is damaged in the store is told, and what cannot be mended is not called in step', async (t) => {
  const { store } = movableStore();
  const { call, report } = await startControlPlane(t, testFolder(t), {}, { store });
  await report('edge-1');
  const status = async () => (await call('GET', '/v1/fleet')).body;
  await waitFor(async () => (await status()).inStep, { what: 'the fleet to be in step' });
  const found = { key: '{lockstep}:due:order', detail: 'is a string, not a zset', mended: true };
  const next = [[found], [{ ...found, key: '{lockstep}:records', mended: false }]];
  let lasting = next[1];
  store.check = async () => next.shift() ?? lasting ?? [];
  await waitFor(async () => (await status()).store.detail !== null, { what: 'the damage to be found' });
  t.match(await status(), {
    inStep: false,
    store: { reachable: true, detail: /records is a string/, damage: [found, { mended: false }] },
  });
  const readyz = await call('GET', '/readyz');
  t.match(readyz, {
    status: 503,
    body: { checks: [{ ok: false, detail: /records/ }, { detail: '1 live, 1 expected' }] },
  });
  lasting = [];
  t.match(
    await status(),
    { inStep: true, store: { detail: null, damage: [found] } },
    'what was mended stays told',
  );
  t.equal((await call('GET', '/readyz')).status, 200);
});

t.test('a report beyond the store’s history makes nothing live', async (t) => {
  const { call, report, acknowledge, store } = await startControlPlane(t, testFolder(t));
  const stop = acknowledge('edge-1');
  await call('POST', '/v1/routes', { body: { id: 'shop', ...shop }, headers: wait });
  stop();
  const head = await store.head();
  const beyond = { ...head, number: head.number + 1_000, commitId: 'made-up' };
  await report('edge-1', { applied: beyond });
  await call('PATCH', '/v1/routes/shop', { body: { paths: ['/a'] } });
  t.match((await call('GET', '/v1/routes/shop')).body.status, {
    state: 'deploying',
    nodes: { live: 0, of: 1, behind: [{ node: 'edge-1' }] },
  });
  t.match((await call('GET', '/v1/nodes/edge-1')).body, { revision: null, fault: /the store does not have/ });
});

t.test('a wait is over when each host is settled, and names the records of all', async (t) => {
  const dns = await startDnsServer({
    zones: [{ name: 'example.test', records: ['edge A 192.0.2.1', 'old A 192.0.2.1', 'one A 203.0.113.7'] }],
  });
  t.teardown(() => dns.close());
  const { call, acknowledge } = await startControlPlane(t, testFolder(t));
  acknowledge('edge-1');
  const settings = { edgeAddresses: ['192.0.2.1'], resolvers: [dns.address] };
  t.equal((await call('PATCH', '/v1/settings', { body: settings })).status, 200);
  const { upstreams } = shop;
  const old = { id: 'old', hosts: ['old.example.test'], upstreams };
  t.match((await call('POST', '/v1/routes', { body: old, headers: wait })).body.status, { state: 'live' });

  const hosts = ['old.example.test', 'one.example.test', 'two.example.test', 'three.example.test'];
  const { body } = await call('PATCH', '/v1/routes/old', { body: { hosts }, headers: wait });
  t.match(body.status, { state: 'waiting_for_dns', nodes: { live: 1, of: 1, behind: [] } });
  t.same(
    body.status.certificates.map(({ state }: { state: string }) => state),
    ['live', 'waiting_for_dns', 'waiting_for_dns', 'waiting_for_dns'],
  );
  t.same(
    body.status.dnsRequirements.map(({ host, ok }: { host: string; ok: boolean }) => [host, ok]),
    hosts.map((host, index) => [host, index === 0]),
    'the host that is served goes on being so, and each has its records',
  );
  const told = await waitFor(
    async () => {
      const { items } = (await call('GET', '/v1/events?limit=100&type=route.waiting_for_dns')).body;
      return items.length > 0 && items;
    },
    { what: 'it to be told' },
  );
  t.match(told, [{ subject: { id: 'old' }, data: { dnsRequirements: body.status.dnsRequirements } }]);
  t.equal(told.length, 1, 'told once');
});
