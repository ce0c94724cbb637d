import { X509Certificate } from 'node:crypto';
import { normaliseHost } from '@lockstep/contract';
import t from 'tap';
import { putOrder, resetOrder } from '../src/orders/order-record.ts';
import { startIssuance } from './start-issuance.ts';

const host = 'shop.example.com';

t.test('a renewed certificate that does not check out replaces nothing, and is told of', async (t) => {
  const world = await startIssuance(t);
  await world.name(host);
  await world.runDue();
  const first = await world.certificate(host);
  world.front.faults.add('cert', { fault: 'wrongCertificate' });
  const dueAt = new Date(world.now()).toISOString();
  const asked = resetOrder(await world.order(host), { renewal: 'asked', dueAt });
  await world.store.commit({ id: 'renew', changes: [putOrder(host, asked)] });
  await world.runDue();
  t.strictSame(await world.certificate(host), first, 'the old one stays as it was');
  const failed = await world.order(host);
  t.match(failed, { lastError: { issuer: 'ca', detail: /certificate cannot be used/ }, renewal: 'asked' });

  world.front.faults.clear();
  world.advanceTo(Date.parse(failed.dueAt ?? ''));
  await world.runDue();
  t.not((await world.certificate(host)).serialNumber, first.serialNumber);
  t.match(await world.order(host), { lastError: null, renewal: null });
});

t.test('a certificate that no route needs is kept for an hour, then all of it goes', async (t) => {
  const world = await startIssuance(t);
  for (const name of [host, 'stays.example.com']) await world.name(name);
  await world.runDue();
  await world.unname(host);
  world.advanceTo(world.now() + 3_500_000);
  await world.runDue();
  t.ok(await world.certificate(host), 'a route may come back to it');
  world.advanceTo(world.now() + 200_000);
  await world.runDue();
  for (const kind of ['certificate', 'order', 'attempts', 'staple'] as const)
    t.equal(await world.store.get(kind, host), null, `its ${kind} is gone`);
  t.ok(await world.certificate('stays.example.com'));
});

t.test(
  'an ACME CA certifies hosts as they come: internationalised, in capitals, up to 253 characters',
  async (t) => {
    const world = await startIssuance(t);
    const labels = Array.from({ length: 4 }, (_, index) => String(index).repeat(62));
    const long = `${labels.join('.')}.a`.slice(0, 241).replace(/\.$/, '');
    const hosts = ['Bücher.Example.COM', 'SHOP.example.com.', `${long}.example.com`].map(normaliseHost);
    t.strictSame(hosts.slice(0, 2), ['xn--bcher-kva.example.com', 'shop.example.com']);
    t.equal(hosts[2]?.length, 253);
    for (const one of hosts) await world.name(one);
    await world.runDue();
    for (const one of hosts) {
      const { subjectAltName } = new X509Certificate((await world.certificate(one)).chain);
      t.equal(subjectAltName, `DNS:${one}`);
    }
  },
);
