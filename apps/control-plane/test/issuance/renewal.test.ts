import { X509Certificate } from 'node:crypto';
import { ariCertId } from '@lockstep/pki';
import { type AcmeFault, refused } from '@lockstep/testkit';
import t from 'tap';
import { putCertificate } from '../../src/certificates/certificate-record.ts';
import { laneOf, putOrder, resetOrder } from '../../src/orders/order-record.ts';
import { startIssuance } from '../start-issuance.ts';

const host = 'shop.example.com';
const needsAri = 'needs a Pebble with ARI and profiles, as Debian unstable has it';
const hourMs = 3_600_000;

/** The bodies of the orders that the CA was sent. */
function watchOrders(
  { front }: Awaited<ReturnType<typeof startIssuance>>,
  answer: (order: { replaces?: string }) => AcmeFault | null = () => null,
) {
  const orders: { replaces?: string }[] = [];
  front.faults.decide(({ kind, payload }) => {
    if (kind !== 'newOrder') return null;
    const order = payload as { replaces?: string };
    // Pebble refuses some nonces on purpose: the same comes again then.
    if (orders.at(-1)?.replaces !== order.replaces || orders.length === 0) orders.push(order);
    return answer(order);
  });
  return orders;
}

t.test('keeps what the CA suggests, and renews at a moment inside the window', async (t) => {
  const world = await startIssuance(t);
  if (!world.pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
  await world.name(host);
  await world.runDue();
  const { ari, renewAt } = await world.order(host);
  t.match(ari, { window: { start: String, end: String }, checkAt: String });
  const at = Date.parse(renewAt ?? '');
  t.ok(at >= Date.parse(ari?.window?.start ?? '') && at <= Date.parse(ari?.window?.end ?? ''));
  t.ok(Date.parse(ari?.checkAt ?? '') > world.now(), 'the CA is asked again, after its Retry-After');
});

t.test('a window in the past renews now, and says what is replaced', async (t) => {
  const world = await startIssuance(t);
  if (!world.pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
  await world.name(host);
  await world.runDue();
  const first = await world.certificate(host);
  await world.pebble.setRenewalInfo(first.chain, {
    suggestedWindow: {
      start: new Date(Date.now() - 2 * hourMs).toISOString(),
      end: new Date(Date.now() - hourMs).toISOString(),
    },
    explanationURL: 'https://ca.example/incident',
  });
  const orders = watchOrders(world);
  world.advanceTo(Date.parse((await world.order(host)).ari?.checkAt ?? ''));
  await world.runUntil(async () => (await world.certificate(host)).serialNumber !== first.serialNumber);
  const second = await world.certificate(host);
  t.not(second.serialNumber, first.serialNumber);
  t.strictSame(
    orders.map(({ replaces }) => replaces),
    [ariCertId(first.chain)],
  );
});

t.test('an order that the CA calls already replaced is made again without', async (t) => {
  const world = await startIssuance(t);
  if (!world.pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
  await world.name(host);
  await world.runDue();
  const renew = async (id: string) => {
    const dueAt = new Date(world.now()).toISOString();
    const order = resetOrder(await world.order(host), { renewal: 'asked', dueAt });
    await world.store.commit({ id, changes: [putOrder(host, order)] });
    await world.runDue();
  };
  const first = await world.certificate(host);
  await renew('once');
  // As after a backup was restored: what the store holds has been replaced already, and the CA knows.
  await world.store.commit({ id: 'back', changes: [putCertificate(host, first)] });
  const orders = watchOrders(world);
  await renew('again');
  t.strictSame(
    orders.map(({ replaces }) => replaces),
    [ariCertId(first.chain), undefined],
  );
  t.match(await world.order(host), { step: 'idle', lastError: null, renewal: null });
  t.not((await world.certificate(host)).serialNumber, first.serialNumber);
});

t.test('a CA that fails over what an order replaces is asked without', async (t) => {
  const world = await startIssuance(t);
  if (!world.pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
  await world.name(host);
  await world.runDue();
  const first = await world.certificate(host);
  // As Pebble answers for each serial number that begins with a byte of zeros.
  const orders = watchOrders(world, ({ replaces }) =>
    replaces === undefined ? null : { ...refused('serverInternal'), status: 500 },
  );
  const dueAt = new Date(world.now()).toISOString();
  const order = resetOrder(await world.order(host), { renewal: 'asked', dueAt });
  await world.store.commit({ id: 'renew', changes: [putOrder(host, order)] });
  await world.runDue();
  t.strictSame(
    orders.map(({ replaces }) => replaces),
    [ariCertId(first.chain), undefined],
  );
  t.match(await world.order(host), { step: 'idle', lastError: null, renewal: null });
});

/** As with a new EAB kid, or after the CA lost the account: the same CA, another account. */
async function otherAccount({ store }: Awaited<ReturnType<typeof startIssuance>>): Promise<void> {
  const [account] = (await store.list('account', { limit: 2 })).items;
  const issuer = await store.get('issuer', 'ca');
  if (account === undefined || issuer === null) throw new Error('there is no account, or no issuer');
  await store.commit({
    id: 'other-account',
    changes: [
      { op: 'delete', kind: 'account', id: account.id },
      { op: 'put', kind: 'issuer', id: 'ca', value: issuer.value },
    ],
  });
}

t.test('a certificate that another account ordered is revoked by its own key', async (t) => {
  const world = await startIssuance(t);
  await world.name(host);
  await world.runDue();
  await otherAccount(world);
  const record = await world.store.get('certificate', host);
  if (record === null) throw new Error('there is no certificate');
  await world.issuance.revokeAtCa(record, 1);
  const { serialNumber } = new X509Certificate(record.value.chain);
  t.strictSame(await world.pebble.revocationStatus(serialNumber), { status: 'Revoked', reason: 1 });
});

t.test(
  'an account that did not order the certificate renews it without saying what it replaces',
  async (t) => {
    const world = await startIssuance(t);
    if (!world.pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
    await world.name(host);
    await world.runDue();
    const first = await world.certificate(host);
    const order = resetOrder(await world.order(host), {
      renewal: 'asked',
      dueAt: new Date(world.now()).toISOString(),
    });
    await otherAccount(world);
    await world.store.commit({ id: 'renew', changes: [putOrder(host, order)] });
    const orders = watchOrders(world);
    await world.runDue();
    t.strictSame(
      orders.map(({ replaces }) => replaces),
      [ariCertId(first.chain), undefined],
    );
    t.match(await world.order(host), { step: 'idle', lastError: null, renewal: null });
    t.not((await world.certificate(host)).serialNumber, first.serialNumber);
  },
);

t.test('a renewal that fails leaves the queue of retries once the certificate expires soon', async (t) => {
  const world = await startIssuance(t, { type: 'acme', profile: 'shortlived' });
  if (!world.pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
  await world.name(host);
  await world.runDue();
  const { notBefore, notAfter } = await world.certificate(host);
  world.front.faults.add('newOrder', refused('rejectedIdentifier'));
  world.front.faults.add('renewalInfo', { fault: 'drop', when: 'before' });
  const lanes: string[] = [];
  while (await world.advanceToNext(Date.parse(notAfter) + 86_400_000)) {
    await world.runDue();
    const order = await world.order(host);
    if (order.failures === 0) continue;
    const left = Date.parse(notAfter) - Date.parse(order.dueAt ?? '');
    const soon = left < (Date.parse(notAfter) - Date.parse(notBefore)) / 6;
    const lane = `${left <= 0 ? 'expired' : soon ? 'soon' : 'later'}: ${laneOf(order)}`;
    if (lanes.at(-1) !== lane) lanes.push(lane);
  }
  t.strictSame(lanes, ['later: retry', 'soon: renewal', 'expired: retry']);
});

t.test(
  'a certificate of six days is renewed in time when the CA is away for an hour at the worst moment',
  async (t) => {
    const world = await startIssuance(t, { type: 'acme', profile: 'shortlived' });
    if (!world.pebble.offersRenewalInfo) return void t.pass('', { skip: needsAri });
    await world.name(host);
    await world.runDue();
    const first = await world.certificate(host);
    const lifetimeMs = Date.parse(first.notAfter) - Date.parse(first.notBefore);
    t.ok(lifetimeMs < 7 * 24 * hourMs, 'it is a short one');

    const until = Date.parse(first.notAfter);
    const renewAt = async () => Date.parse((await world.order(host)).renewAt ?? '');
    while (world.now() < (await renewAt())) {
      if (!(await world.advanceToNext(await renewAt()))) world.advanceTo(await renewAt());
      if (world.now() < (await renewAt())) await world.runDue();
    }
    // The moment it wants to renew, the CA is gone.
    const outage = [
      'directory',
      'newNonce',
      'newAccount',
      'newOrder',
      'order',
      'authz',
      'challenge',
      'finalize',
      'cert',
      'renewalInfo',
    ] as const;
    for (const kind of outage) world.front.faults.add(kind, { fault: 'drop', when: 'before' });
    const back = world.now() + hourMs;
    await world.runDue();
    while (await world.advanceToNext(back)) await world.runDue();
    t.equal(
      (await world.certificate(host)).serialNumber,
      first.serialNumber,
      'the old one is served meanwhile',
    );
    t.ok((await world.order(host)).lastError, 'and the failure is told');
    world.advanceTo(back);
    world.front.faults.clear();

    // Pebble dates by its own clock, for which the new one is a first: what comes after it is not this test's.
    const renewed = async () => (await world.certificate(host)).serialNumber !== first.serialNumber;
    while (!(await renewed()) && (await world.advanceToNext(until))) await world.runDue(renewed);
    t.ok(await renewed(), 'renewed before it expired');
    t.comment(
      `renewed ${((world.now() - back) / hourMs).toFixed(1)} h after the CA was back, ${((until - world.now()) / hourMs).toFixed(1)} h before the old one expired`,
    );
  },
);
