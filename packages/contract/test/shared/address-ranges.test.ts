import t from 'tap';
import { createAddressRanges, normaliseRange, strayBits } from '../../src/index.ts';

t.test('a range has the addresses of its own family, however they are written', async (t) => {
  const cases: [string, string, boolean][] = [
    ['10.0.0.0/8', '10.200.3.4', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['10.0.0.0/8', '::FFFF:a01:203', true],
    ['10.1.2.3/8', '10.0.0.1', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '11.1.2.3', false],
    ['0.0.0.0/0', '203.0.113.7', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '203.0.113.7', false],
    ['::/0', '::ffff:203.0.113.7', false],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.8', false],
    ['192.0.2.7', 'shop.example.com', false],
    ['192.0.2.7', '', false],
  ];
  for (const [range, address, has] of cases)
    t.equal(createAddressRanges([range]).has(address), has, `${range} ${address}`);
  t.equal(createAddressRanges([]).has('192.0.2.7'), false);
});

t.test('a range has one form', async (t) => {
  const forms: [string, string | null][] = [
    ['192.0.2.7/32', '192.0.2.7'],
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['2001:DB8:0:0::/48', '2001:db8::/48'],
    ['2001:db8::1/128', '2001:db8::1'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['::ffff:0:0/90', '::ffff:0.0.0.0/90'],
  ];
  for (const [input, form] of forms) t.equal(normaliseRange(input), form, input);
  const none = [
    '',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '010.0.0.1',
    '::/129',
    'a/8',
    'fe80::1%e/64',
  ];
  for (const input of none) t.equal(normaliseRange(input), null, input);
});

t.test(
  'a range that begins within itself is told apart, with both ways to write what was meant',
  async (t) => {
    const stray: [string, string, string][] = [
      ['10.0.0.5/8', '10.0.0.0/8', '10.0.0.5'],
      ['192.0.2.255/31', '192.0.2.254/31', '192.0.2.255'],
      ['255.255.255.255/0', '0.0.0.0/0', '255.255.255.255'],
      ['2001:db8::1/32', '2001:db8::/32', '2001:db8::1'],
      ['2001:db8:1:2:3:4:5:6/65', '2001:db8:1:2::/65', '2001:db8:1:2:3:4:5:6'],
      ['::1/0', '::/0', '::1'],
      ['::ffff:10.1.0.0/104', '10.0.0.0/8', '10.1.0.0'],
      ['::102:304/112', '::1.2.0.0/112', '::1.2.3.4'],
    ];
    for (const [input, range, address] of stray)
      t.match(strayBits(input), `the range is ${range}, the address alone ${address}`, input);
    for (const input of [
      '10.0.0.0/8',
      '10.0.0.5',
      '10.0.0.5/32',
      '0.0.0.0/0',
      '::/0',
      '::1',
      '2001:db8::/32',
    ])
      t.equal(strayBits(input), null, input);
    for (const input of ['nothing/8', 'unix:/run/a', '10.0.0.5/33']) t.equal(strayBits(input), null, input);
  },
);
