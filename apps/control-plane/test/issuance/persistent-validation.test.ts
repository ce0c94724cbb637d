import type { PutIssuer } from '@lockstep/contract';
import { startPebble, testFolder } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { putOrder } from '../../src/orders/order-record.ts';
import { answerChallenges } from '../answer-challenges.ts';
import { byAdmin } from '../by-admin.ts';
import { startControlPlane } from '../start-control-plane.ts';
import { startIssuance } from '../start-issuance.ts';

const dayMs = 86_400_000;
const own = 'pebble.letsencrypt.org';

async function start(t: Test, config: Partial<PutIssuer> = {}) {
  const world = await startIssuance(t, {
    challenges: ['dns-persist-01'],
    profile: 'default', // left to Pebble, it is now this, now that
    ...config,
  } as Partial<PutIssuer>);
  const { dns } = world.pebble;
  await world.settings.patch(byAdmin, { resolvers: [dns.address], authoritativeServers: [dns.address] });

  /** What the host is said to need, as the last look has it. */
  async function wanted(host: string) {
    const { seenDns } = await world.order(host);
    return seenDns?.challenge[0];
  }
  return {
    ...world,
    wanted,
    async setTxt(name: string, ...values: string[]) {
      await dns.clearTxt(name);
      for (const value of values) await dns.setTxt(name, value);
    },
    serial: async (host: string) => (await world.store.get('certificate', host))?.value.serialNumber ?? null,
    async told() {
      const { items } = await world.store.readEvents({ limit: 1_000 });
      return items.filter(({ type }) => type === 'certificate.validation_ending').map(({ data }) => data);
    },
  };
}

t.test('a record of the owner’s is all that a wildcard and each of its renewals take', async (t) => {
  const host = '*.shop.example.com';
  const name = '_validation-persist.shop.example.com';
  const world = await start(t);
  await world.name(host);
  await world.runDue();

  const waiting = await world.order(host);
  t.match(waiting.waitingForDns?.detail, /does not let the CA issue: there is none yet\. Create one with/);
  const seen = (await world.wanted(host))!;
  const accountUrl = await (await world.issuance.registry.find('ca'))!.accountUrl();
  t.strictSame(seen.requirement, {
    host,
    type: 'TXT',
    name,
    value: `${own}; accounturi=${accountUrl}; policy=wildcard`,
    purpose: 'challenge',
    found: [],
    ok: false,
    hint: waiting.waitingForDns?.detail,
  });
  t.equal(world.front.counts.newOrder, 0, 'no CA is asked before it is there');

  const right = seen.requirement.value;
  for (const [value, why] of [
    [right.replace(accountUrl!, `${accountUrl}0`), /names another account/],
    [right.replace('; policy=wildcard', ''), /lacks policy=wildcard/],
    [`${right}; persistUntil=${Math.floor(world.now() / 1_000) - 60}`, /ran out at 2/],
    [`${right};`, /a semicolon too many/],
  ] as const) {
    await world.setTxt(name, value);
    await world.advanceToNext(Number.POSITIVE_INFINITY);
    await world.runDue();
    t.match((await world.order(host)).waitingForDns?.detail, why);
    t.match(await world.wanted(host), { requirement: { found: [value], ok: false, hint: why } });
  }
  t.equal(world.front.counts.newOrder, 0);

  await world.setTxt(name, `other.example; accounturi=https://other.example/1`, right);
  await world.runUntil(async () => (await world.serial(host)) !== null);
  t.match((await world.store.get('attempts', host))?.value.attempts, [
    { outcome: 'issued', challenge: 'dns-persist-01' },
  ]);
  t.match(await world.wanted(host), { issuer: 'ca', until: null, requirement: { ok: true, hint: null } });

  const first = await world.serial(host);
  const renewed = { ...(await world.order(host)), renewal: 'asked' as const };
  const dueAt = new Date(world.now()).toISOString();
  await world.store.commit({ id: 'renew', changes: [putOrder(host, { ...renewed, dueAt })] });
  await world.runUntil(async () => (await world.serial(host)) !== first);
  t.match(
    (await world.store.get('attempts', host))?.value.attempts.map(({ outcome }) => outcome),
    ['issued', 'issued'],
  );
});

t.test('a record that runs out is told of once, 30 days before, and so is one that is gone', async (t) => {
  const host = 'shop.example.com';
  const name = '_validation-persist.shop.example.com';
  const world = await start(t);
  await world.name(host);
  await world.runDue();
  const { value } = (await world.wanted(host))!.requirement;
  const until = (days: number) => Math.floor((world.now() + days * dayMs) / 1_000);
  const at = until(31.5);
  await world.setTxt(name, `${value}; persistUntil=${at}`);
  await world.runUntil(async () => (await world.serial(host)) !== null);
  t.match(await world.wanted(host), { requirement: { ok: true, hint: null } });

  async function liveOn(days: number): Promise<void> {
    const end = world.now() + days * dayMs;
    while (await world.advanceToNext(end)) await world.runDue();
    world.advanceTo(end);
  }
  await liveOn(1.2);
  t.strictSame(await world.told(), []);
  await liveOn(2);
  const ends = new Date(at * 1_000).toISOString();
  const [ending, ...more] = await world.told();
  t.match(ending, {
    hosts: [host],
    issuer: 'ca',
    name,
    value,
    until: ends,
    detail: `runs out at ${ends}; before that, give it a later persistUntil, or none`,
    renewAt: String,
  });
  t.strictSame(more, [], 'once');
  t.match(await world.wanted(host), { requirement: { ok: true, hint: ending?.detail } });

  await world.setTxt(name, value);
  await liveOn(1);
  t.match(await world.wanted(host), { until: null, requirement: { ok: true, hint: null } });
  await world.setTxt(name);
  await liveOn(2);
  const gone = (await world.told()).filter(({ until }) => until === null);
  t.match(gone, [{ found: [], detail: /there is none yet/ }]);
  t.equal(gone.length, 1);
});

t.test('where something else may prove the host, a record that is not there is no obstacle', async (t) => {
  const host = 'shop.example.com';
  const world = await start(t, { challenges: ['dns-persist-01', 'http-01'] } as Partial<PutIssuer>);
  await world.name(host);
  await world.runUntil(async () => (await world.serial(host)) !== null);
  t.match((await world.store.get('attempts', host))?.value.attempts, [
    { outcome: 'issued', challenge: 'http-01' },
  ]);
  t.match(await world.wanted(host), { requirement: { ok: false } }, 'it is shown all the same');
  t.equal((await world.order(host)).persist, null);
});

t.test('a route asks for it by `challenge`, and its status shows the record', async (t) => {
  const controlPlane = await startControlPlane(t, testFolder(t));
  const { call, store } = controlPlane;
  controlPlane.acknowledge('edge-1');
  const pebble = await startPebble({ httpPort: await answerChallenges(t, () => store) });
  t.teardown(() => pebble.close());
  const { directory, rootPem, dns } = pebble;
  await call('PUT', '/v1/issuers/pebble', { body: { directory, roots: rootPem } });
  await call('PUT', '/v1/settings', {
    body: { resolvers: [dns.address], authoritativeServers: [dns.address], issuers: ['pebble'] },
  });
  const route = (challenge: string) => ({
    hosts: ['*.shop.example.com'],
    upstreams: [{ url: 'http://127.0.0.1:3000' }],
    challenge,
  });
  t.match(await call('PUT', '/v1/routes/shop', { body: route('http-01') }), { status: 400 });
  const { status, body } = await call('PUT', '/v1/routes/shop', {
    body: route('dns-persist-01'),
    headers: { prefer: 'wait=60' },
  });
  t.equal(status, 202);
  t.equal(body.status.state, 'waiting_for_dns');
  const [requirement, ...others] = body.status.dnsRequirements;
  t.match(requirement, { type: 'TXT', purpose: 'challenge', ok: false, found: [] });
  t.strictSame(others, []);
  await dns.setTxt(requirement.name, requirement.value);
  t.match(await call('POST', '/v1/routes/shop/check'), { status: 200, body: { ok: true } });
  const live = await call('PATCH', '/v1/routes/shop', { body: {}, headers: { prefer: 'wait=60' } });
  t.match(live.body.status, { state: 'live', dnsRequirements: [{ purpose: 'challenge', ok: true }] });
  t.equal(pebble.orderCount(), 1);
});
