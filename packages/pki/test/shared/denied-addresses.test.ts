import { defaultEdgeSettings } from '@lockstep/contract';
import t from 'tap';
import { createDeniedAddresses, createGuardedLookup } from '../../src/shared/denied-addresses.ts';

const denied = createDeniedAddresses(defaultEdgeSettings.deny, [
  { host: '127.0.0.1', port: 6_379 },
  { host: '192.0.2.7', port: 7_400 },
  { host: '0.0.0.0', port: 19_100 },
]);

t.test('link-local and metadata addresses are denied in every spelling', async (t) => {
  for (const address of [
    '169.254.169.254',
    '169.254.0.1',
    '::ffff:169.254.169.254',
    '[::ffff:a9fe:a9fe]',
    '0:0:0:0:0:ffff:a9fe:a9fe',
    '::169.254.169.254',
    '64:ff9b::169.254.169.254',
    '2002:a9fe:a9fe::1',
    'fe80::1',
    'fe80::1%eth0',
    '[febf::1]',
    'fd00:ec2::254',
    'FD00:0EC2:0:0:0:0:0:0254',
  ]) {
    t.ok(denied.denies(address, 80), address);
  }
  // What a URL makes of other ways to write an IPv4 address.
  for (const url of [
    'http://2852039166',
    'http://0xa9.0xfe.0xa9.0xfe',
    'http://0251.0376.0251.0376',
    'http://169.254.43518',
  ]) {
    t.ok(denied.denies(new URL(url).hostname, 80), url);
  }
});

t.test('private and loopback addresses are not, but for listeners of the fleet', async (t) => {
  for (const address of [
    '10.0.0.1',
    '127.0.0.1',
    '::1',
    '192.168.1.1',
    'fd00::1',
    '169.253.255.255',
    '169.255.0.0',
    'fec0::1',
  ]) {
    t.notOk(denied.denies(address, 80), address);
  }
  for (const address of [
    '127.0.0.1',
    '127.1.2.3',
    '[::1]',
    '::ffff:127.0.0.1',
    '0.0.0.0',
    '::',
    'localhost',
    'a.localhost.',
  ]) {
    t.ok(denied.denies(address, 6_379), address);
    t.ok(denied.denies(address, 19_100), address);
    t.notOk(denied.denies(address, 6_380), address);
  }
  t.ok(denied.denies('192.0.2.7', 7_400));
  t.notOk(denied.denies('192.0.2.8', 7_400));
});

t.test('a name is refused by what it stands for', async (t) => {
  const loopback = createDeniedAddresses(['127.0.0.0/8', '::1']);
  const look = (now: typeof denied, all: boolean) =>
    new Promise((resolve, reject) =>
      createGuardedLookup(() => now, 80)('localhost', { all }, (error, address) =>
        error === null ? resolve(address) : reject(error),
      ),
    );
  for (const all of [true, false]) {
    await t.rejects(look(loopback, all), { code: 'ADDRESS_DENIED' });
    t.ok(await look(denied, all));
  }
});
