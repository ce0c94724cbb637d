import { type AcmeClient, createSealer, generateSecretKey } from '@lockstep/pki';
import t from 'tap';
import { type AcmeIssuerOptions, createAcmeIssuer } from '../../src/issuers/acme/acme-issuer.ts';
import { createCaClock } from '../../src/issuers/acme/ca-clock.ts';
import { newOrder } from '../../src/orders/order-record.ts';

t.test('nothing is ordered at a CA whose Date is far from this machine’s clock', async (t) => {
  let aheadMs = 0;
  const clock = createCaClock({ now: () => Date.now() + aheadMs });
  t.equal(clock.fault(), null, 'before it has said anything');
  clock.note(new Date().toUTCString());
  t.equal(clock.fault(), null);
  aheadMs = 3 * 3_600_000;
  t.equal(clock.fault(), 'the clock of this control plane is 3 hours ahead of the CA’s; set it right');
  aheadMs = -400 * 86_400_000;
  t.match(clock.fault(), /400 days behind the CA’s/);
  aheadMs = 60_000;
  t.equal(clock.fault(), null, 'a minute harms nothing');
  clock.note('not a date');
  clock.note(null);
  t.equal(clock.fault(), null);
});

t.test('an issuer that finds its clock wrong asks its CA for no order', async (t) => {
  const asked: string[] = [];
  const client = {
    directory: async () => asked.push('directory'),
    newOrder: async () => asked.push('newOrder'),
  } as unknown as AcmeClient;
  const issuer = createAcmeIssuer({
    session: { use: (_signal, work) => work(client) },
    authorizer: { canDns: () => false },
    sealer: createSealer(generateSecretKey()),
    keyType: 'ecdsa-p256',
    clockFault: () => 'the clock is wrong',
    challenges: null,
    now: Date.now,
  } as Partial<AcmeIssuerOptions> as AcmeIssuerOptions);
  const context = { signal: new AbortController().signal, challenge: null, certificate: null };
  await t.rejects(issuer.advance('shop.example.com', newOrder('shop.example.com', Date.now()), context), {
    kind: 'unavailable',
    message: 'the clock is wrong',
  });
  t.notOk(asked.includes('newOrder'));
});
