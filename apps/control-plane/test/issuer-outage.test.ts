import { startCuttingProxy, startPebble, waitFor } from '@lockstep/testkit';
import t from 'tap';
import { answerChallenges } from './answer-challenges.ts';
import { startControlPlane } from './start-control-plane.ts';

const host = 'shop.example.com';
const shop = { hosts: [host], upstreams: [{ url: 'http://127.0.0.1:3000' }] };

t.test('an order goes on where it was when its CA is back, and no other is made', async (t) => {
  const controlPlane = await startControlPlane(t, t.testdir());
  const { call, store } = controlPlane;
  const pebble = await startPebble({ httpPort: await answerChallenges(t, () => store) });
  t.teardown(() => pebble.close());
  let away = false;
  // Its answers are lost, so that the CA may have done what it was asked.
  const front = await startCuttingProxy(Number(new URL(pebble.directory).port), () => away);
  t.teardown(() => front.close());
  const directory = `https://localhost:${new URL(front.url).port}/dir`;
  await call('PUT', '/v1/issuers/pebble', { body: { directory, roots: pebble.rootPem } });
  await call('PUT', '/v1/settings', { body: { issuers: ['pebble', 'internal'] } });
  const orderOf = async () => (await store.get('order', host))?.value;

  // An edge that has not taken up the challenge yet holds the order where the test wants it.
  await controlPlane.report('edge-1');
  await call('PUT', '/v1/routes/shop', { body: shop });
  const placed = await waitFor(
    async () => {
      const order = await orderOf();
      return order?.step === 'placed' && order;
    },
    { what: 'the challenge to be placed' },
  );
  away = true;
  front.cutAll();
  controlPlane.acknowledge('edge-1');
  await waitFor(async () => ((await orderOf())?.stumbles ?? 0) > 0, { what: 'the CA to be missed' });
  t.match((await call('GET', '/v1/routes/shop')).body.status, { state: 'issuing' });
  t.match(await orderOf(), { orderUrl: placed.orderUrl, failures: 0, setbacks: {} });
  away = false;
  const { body } = await call('PATCH', '/v1/routes/shop', { body: {}, headers: { prefer: 'wait=30' } });
  t.match(body.status, { state: 'live' });
  t.equal(pebble.orderCount(), 1);
  t.match((await call('GET', `/v1/certificates/${host}/attempts`)).body, {
    items: [{ number: 1, issuer: 'pebble', outcome: 'issued' }],
  });
});
