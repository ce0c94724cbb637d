import { startDnsServer, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { seedFailingHosts } from './fleet/seed-failing-hosts.ts';
import { startPebbleFleet } from './fleet/start-pebble-fleet.ts';

const failingCount = 1_500;
/** Of those that are due before it, so many may be tried while a good host becomes live: far fewer than all. */
const bound = 150;

t.test('1,500 hosts that are due to fail again do not stand before a new one', async (t) => {
  // Nobody listens on 127.0.0.2: whoever is sent there to validate finds nothing.
  const dns = await startDnsServer({
    zones: [
      { name: 'good.test', records: ['* A 127.0.0.1'] },
      { name: 'bad.test', records: ['* A 127.0.0.2'] },
    ],
  });
  t.teardown(() => dns.close());
  const { fleet, pebble, upstream } = await startPebbleFleet(t, {
    dir: testFolder(t),
    dnsServer: dns.address,
  });
  const { LOCKSTEP_STORE: url, LOCKSTEP_STORE_PREFIX: prefix } = fleet.env;
  const failing = Array.from({ length: failingCount }, (_, index) => `host-${index}.bad.test`);
  await seedFailingHosts({ url, prefix }, failing, upstream.url);

  for (const name of ['one', 'two', 'three']) {
    const before = pebble.orderCount();
    const { body } = await fleet.post(`${name}.good.test`, upstream.url);
    t.match(body.status, { state: 'live', nodes: { live: 2, of: 2 } });
    const meanwhile = pebble.orderCount() - before - 1;
    t.ok(meanwhile < bound, `${meanwhile} others were tried while ${name} became live`);
  }
  const { body } = await fleet.call('GET', '/v1/routes/bad-host-0.bad.test');
  t.match(body.status.certificates, [{ lastError: { detail: String }, nextAttemptAt: String }]);
});
