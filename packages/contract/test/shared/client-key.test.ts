import t from 'tap';
import { clientKey } from '../../src/shared/client-key.ts';

t.test('limits count an IPv4 address, or the /64 of an IPv6 address, however it is written', async (t) => {
  t.equal(clientKey('192.0.2.7'), '192.0.2.7');
  t.equal(clientKey('::ffff:192.0.2.7'), '192.0.2.7');
  t.equal(clientKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  t.equal(clientKey('2001:DB8:1:2::9'), '2001:db8:1:2::/64');
  t.equal(clientKey('2001:db8::9'), '2001:db8:0:0::/64');
  t.equal(clientKey('fe80::1%eth0'), 'fe80:0:0:0::/64');
  t.equal(clientKey('::1'), '0:0:0:0::/64');
});
