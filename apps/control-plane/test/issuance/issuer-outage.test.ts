import { refused, startFaultyFront, startPebble, testFolder, unavailable, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { answerChallenges } from '../answer-challenges.ts';
import { startControlPlane } from '../start-control-plane.ts';

const host = 'shop.example.com';
const shop = { hosts: [host], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
const wait = { prefer: 'wait=30' };

/**
 * A control plane whose order at a CA has placed its challenge, which the only edge has not taken up yet: `goOn` lets it. The CA is behind
 * a front that fails as the test tells it.
 */
async function startPlaced(
  test: Parameters<typeof startControlPlane>[0],
  dataDir: string,
  issuers: string[],
) {
  const controlPlane = await startControlPlane(test, dataDir);
  const { call, store } = controlPlane;
  const pebble = await startPebble({ httpPort: await answerChallenges(test, () => store) });
  test.teardown(() => pebble.close());
  const { directory, rootPem, faults, close } = await startFaultyFront({ pebble });
  test.teardown(close);
  const putIssuer = (rest: object = {}) =>
    call('PUT', '/v1/issuers/pebble', { body: { directory, roots: rootPem, ...rest } });
  await putIssuer();
  await controlPlane.report('edge-1');
  await call('PUT', '/v1/routes/shop', { body: { ...shop, issuers } });
  const order = async () => (await store.get('order', host))?.value;
  const placed = await waitFor(
    async () => {
      const value = await order();
      return value?.step === 'placed' && value;
    },
    { what: 'the challenge to be placed' },
  );
  return {
    call,
    pebble,
    faults,
    order,
    putIssuer,
    orderUrl: placed.orderUrl,
    goOn: () => controlPlane.acknowledge('edge-1'),
    route: async () => (await call('GET', '/v1/routes/shop')).body.status,
    attempts: async () => (await call('GET', `/v1/certificates/${host}/attempts`)).body.items,
  };
}

t.test('an order goes on where it was when its CA is back, and no other is made', async (t) => {
  const { call, pebble, faults, order, orderUrl, goOn, route, attempts } = await startPlaced(
    t,
    testFolder(t),
    ['pebble', 'internal'],
  );
  // Its answers are lost, so that the CA may have done what it was asked.
  faults.decide(() => ({ fault: 'drop', when: 'after' }));
  goOn();
  await waitFor(async () => ((await order())?.stumbles ?? 0) > 0, { what: 'the CA to be missed' });
  t.match(await route(), { state: 'issuing' });
  t.match(await order(), { orderUrl, failures: 0, setbacks: {} });
  faults.clear();
  const { body } = await call('PATCH', '/v1/routes/shop', { body: {}, headers: wait });
  t.match(body.status, { state: 'live' });
  t.equal(pebble.orderCount(), 1);
  t.match(await attempts(), [{ number: 1, issuer: 'pebble', outcome: 'issued' }]);
});

t.test('a CA that wants hours under an order is told of, and the order is kept for it', async (t) => {
  const { call, pebble, faults, order, orderUrl, goOn, route, attempts } = await startPlaced(
    t,
    testFolder(t),
    ['pebble'],
  );
  faults.add('order', unavailable(7_200));
  goOn();
  const status = await waitFor(
    async () => {
      const now = await route();
      return now.state === 'failed' && now;
    },
    { what: 'the failure' },
  );
  const [certificate] = status.certificates;
  t.match(certificate.lastError, { issuer: 'pebble', detail: /the CA answered 503/ });
  const inMs = Date.parse(certificate.nextAttemptAt) - Date.now();
  t.ok(inMs > 7_100_000 && inMs <= 7_200_000);
  t.match(await attempts(), [{ number: 1, outcome: 'failed', next: /^The order goes on at 2/ }]);
  t.match(await order(), { orderUrl });
  faults.clear();
  const { body } = await call('PATCH', '/v1/routes/shop', { body: {}, headers: wait });
  t.match(body.status, { state: 'live' });
  t.equal(pebble.orderCount(), 1);
});

t.test('a CA that is away for hours, by its own word, is asked for no other host meanwhile', async (t) => {
  const { call, pebble, faults, goOn, attempts } = await startPlaced(t, testFolder(t), [
    'pebble',
    'internal',
  ]);
  faults.add('order', unavailable(7_200));
  goOn();
  await waitFor(async () => (await attempts()).length === 2, { what: 'both attempts' });
  faults.clear();
  const other = { ...shop, hosts: ['other.example.com'], issuers: ['pebble', 'internal'] };
  const { body } = await call('PUT', '/v1/routes/other', { body: other, headers: wait });
  t.match(body.status, { state: 'live' });
  t.match((await call('GET', '/v1/certificates/other.example.com/attempts')).body.items, [
    { number: 1, issuer: 'internal', outcome: 'issued' },
    { number: 1, issuer: 'pebble', outcome: 'failed', detail: /asked to be left alone until 2/ },
  ]);
  t.equal(pebble.orderCount(), 1);
  t.ok(Date.parse((await call('GET', '/v1/issuers/pebble/limits')).body.retryAt) > Date.now() + 7_000_000);
});

t.test('with another issuer in the chain, nobody waits for hours', async (t) => {
  const { call, faults, goOn, attempts } = await startPlaced(t, testFolder(t), ['pebble', 'internal']);
  faults.add('order', unavailable(7_200));
  goOn();
  await waitFor(async () => (await attempts()).length === 2, { what: 'both attempts' });
  t.match((await call('GET', `/v1/certificates/${host}`)).body, { issuer: 'internal' });
  t.match(await attempts(), [
    { number: 1, issuer: 'internal', outcome: 'issued' },
    {
      number: 1,
      issuer: 'pebble',
      outcome: 'failed',
      step: /placed|validating/,
      problem: { status: 503 },
      next: 'The next issuer, "internal", is tried at once.',
    },
  ]);
});

t.test('a CA that works on an order for hours is left for the next issuer', async (t) => {
  const { call, faults, goOn, attempts } = await startPlaced(t, testFolder(t), ['pebble', 'internal']);
  // ZeroSSL says so of orders that it has not finished yet.
  faults.add('order', { fault: 'processing', retryAfter: 86_400 });
  faults.add('finalize', { fault: 'processing', retryAfter: 86_400 });
  goOn();
  await waitFor(async () => (await attempts()).length === 2, { what: 'both attempts' });
  t.match((await call('GET', `/v1/certificates/${host}`)).body, { issuer: 'internal' });
  t.match(await attempts(), [
    { number: 1, issuer: 'internal', outcome: 'issued' },
    { number: 1, issuer: 'pebble', outcome: 'failed', detail: /wants to be asked again in 1440 minutes/ },
  ]);
});

t.test('a CA that has lost the account gets another at once, in the same attempt', async (t) => {
  const { call, pebble, faults, goOn } = await startPlaced(t, testFolder(t), ['pebble', 'internal']);
  goOn();
  t.match((await call('PATCH', '/v1/routes/shop', { body: {}, headers: wait })).body.status, {
    state: 'live',
  });
  const issuerUrl = async () => (await call('GET', '/v1/issuers/pebble')).body.accountUrl;
  const before = await issuerUrl();
  faults.add('newOrder', refused('accountDoesNotExist'), 1);
  const other = { ...shop, hosts: ['other.example.com'], issuers: ['pebble', 'internal'] };
  const { body } = await call('PUT', '/v1/routes/other', { body: other, headers: wait });
  t.match(body.status, { state: 'live' });
  t.match((await call('GET', '/v1/certificates/other.example.com')).body, { issuer: 'pebble' });
  t.match((await call('GET', '/v1/certificates/other.example.com/attempts')).body, {
    items: [{ number: 1, issuer: 'pebble', outcome: 'issued' }],
  });
  t.equal(pebble.accountCount(), 2);
  t.not(await issuerUrl(), before);
});

t.test('an issuer that is put anew while it is asked loses no order', async (t) => {
  const { call, pebble, faults, goOn, putIssuer } = await startPlaced(t, testFolder(t), ['pebble']);
  goOn();
  t.match((await call('PATCH', '/v1/routes/shop', { body: {}, headers: wait })).body.status, {
    state: 'live',
  });
  faults.add('newOrder', { fault: 'delay', ms: 1_500 }, 1);
  const put = (name: string) => {
    const body = { ...shop, hosts: [`${name}.example.com`], issuers: ['pebble'] };
    return call('PUT', `/v1/routes/${name}`, { body, headers: wait });
  };
  const slow = put('slow');
  await waitFor(() => pebble.orderCount() === 2, { what: 'the CA to have made an order' });
  await putIssuer({ keyType: 'rsa-2048' });
  const quick = await put('quick');
  t.match([quick.body.status, (await slow).body.status], [{ state: 'live' }, { state: 'live' }]);
  t.equal(pebble.orderCount(), 3, 'one for each host');
  t.match((await call('GET', '/v1/certificates/slow.example.com/attempts')).body, {
    items: [{ number: 1, outcome: 'issued' }],
  });
});
