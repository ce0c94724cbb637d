import t from 'tap';
import {
  addressOfHost,
  isAppError,
  normaliseHost,
  normaliseRouteHost,
  octetsOf,
  readAuthority,
  reverseNameOf,
  wildcardOf,
} from '../../src/index.ts';

const longLabel = 'a'.repeat(63);

t.test('stores a host in lower case, as A-labels and without the trailing dot', async (t) => {
  const accepted: [string, string][] = [
    ['Shop.Example.COM', 'shop.example.com'],
    ['shop.example.com.', 'shop.example.com'],
    ['  shop.example.com ', 'shop.example.com'],
    ['*.Example.com', '*.example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['*.bücher.example', '*.xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['shop。example。com', 'shop.example.com'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['XN--Bcher-KVA.example', 'xn--bcher-kva.example'],
    ['shop.xn--p1ai', 'shop.xn--p1ai'],
    ['ｓｈｏｐ１.example', 'shop1.example'],
    ['1-2.3com.example', '1-2.3com.example'],
    [`${longLabel}.example`, `${longLabel}.example`],
  ];
  for (const [input, stored] of accepted) t.equal(normaliseHost(input), stored, input);
});

t.test('refuses what is not a host, and says why', async (t) => {
  const refused: [string, RegExp][] = [
    ['', /empty/],
    ['.', /empty/],
    ['*.', /whole first label|empty/],
    ['192.0.2.1', /IP address/],
    ['0x7f.1', /IP address/],
    ['shop.example.1', /ends in a number/],
    ['[2001:db8::1]', /IP address/],
    ['2001:db8::1', /IP address/],
    ['shop.example.com:8443', /port/],
    ['shop..example.com', /empty label/],
    ['.example.com', /empty label/],
    ['https://shop.example.com', /scheme/],
    ['HTTP://shop.example.com:80/', /scheme/],
    ['xn--a.example.com', /internationalised|xn--/],
    ['shop.xn--0.pt', /internationalised|xn--/],
    ['xn--.com', /internationalised|xn--/],
    ['１２７.0.0.1', /IP address/],
    ['127.0.0.１', /IP address/],
    ['shop.example.１', /internationalised/],
    ['１２７。０。０。１', /IP address/],
    ['shop.example.com：443', /internationalised/],
    ['a／b.example.com', /internationalised/],
    ['shop.example.com/cart', /host name alone/],
    ['user@example.com', /host name alone/],
    ['shop example.com', /host name alone/],
    ['shop_1.example.com', /letters, digits and hyphens/],
    ['-shop.example.com', /letters, digits and hyphens/],
    ['shop-.example.com', /letters, digits and hyphens/],
    ['*.*.example.com', /whole first label/],
    ['shop.*.com', /whole first label/],
    ['*shop.example.com', /whole first label/],
    [`${longLabel}a.example`, /label longer than 63/],
    [Array.from({ length: 5 }, () => longLabel).join('.'), /longer than 253/],
    ['ex\u0000ample.com', /letters, digits and hyphens/],
    ['\u{1f4a9}\u200d.example\u0000', /internationalised|letters, digits/],
  ];
  for (const [input, reason] of refused) {
    t.throws(() => normaliseHost(input), { code: 'invalid_request', message: reason }, JSON.stringify(input));
  }
});

t.test('names the host in the refusal, shortened', async (t) => {
  try {
    normaliseHost(`${'x'.repeat(5000)}_.example`);
    t.fail('should have been refused');
  } catch (error) {
    t.ok(isAppError(error, 'invalid_request'));
    t.ok((error as Error).message.length < 300);
  }
});

t.test('a wildcard stands for exactly one label', async (t) => {
  t.equal(wildcardOf('shop.example.com'), '*.example.com');
  t.equal(wildcardOf('localhost'), null);
});

t.test('an IP address is a host in one form, however it is given and whoever asks by it', async (t) => {
  const accepted: [string, string][] = [
    ['203.0.113.9', '203.0.113.9'],
    [' 203.0.113.9 ', '203.0.113.9'],
    ['2001:db8::9', '[2001:db8::9]'],
    ['[2001:DB8:0:0::9]', '[2001:db8::9]'],
    ['::1', '[::1]'],
    ['Shop.Example.com', 'shop.example.com'],
  ];
  for (const [input, stored] of accepted) t.equal(normaliseRouteHost(input), stored, input);
  for (const input of [
    '0.0.0.0',
    '0.1.2.3',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '[ff02::1]',
    '::ffff:192.0.2.1',
    '[fe80::1%eth0]',
    '192.0.2',
    '0x7f.1',
    '[192.0.2.1]',
    '*.192.0.2.1',
  ])
    t.throws(() => normaliseRouteHost(input), { code: 'invalid_request' }, input);
  for (const input of ['192.0.2', '0x7f.1', '192.0.2.1.', '[192.0.2.1]', 'fe80::1%eth0'])
    t.throws(() => normaliseRouteHost(input), { message: /an address as 203\.0\.113\.9 or \[2001/ }, input);

  t.same(readAuthority('[2001:DB8:0::9]:8443'), { host: '[2001:db8::9]', authority: '[2001:db8::9]:8443' });
  t.same(readAuthority('203.0.113.9'), { host: '203.0.113.9', authority: '203.0.113.9' });
  for (const field of ['[::1::2]', '[:::]', '[1.2.3.4]'])
    t.match(readAuthority(field), { fault: String }, field);

  t.equal(addressOfHost('[2001:db8::9]'), '2001:db8::9');
  t.equal(addressOfHost('203.0.113.9'), '203.0.113.9');
  t.equal(addressOfHost('9.example.com'), null);
});

t.test('the name of an address for a reverse lookup, and its octets', async (t) => {
  t.equal(reverseNameOf('203.0.113.9'), '9.113.0.203.in-addr.arpa');
  t.equal(
    reverseNameOf('2001:db8::567:89ab'), // the example of RFC 3596, section 2.5, shortened
    'b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa',
  );
  t.same([...octetsOf('203.0.113.9')], [203, 0, 113, 9]);
  t.same(Buffer.from(octetsOf('2001:db8::9')).toString('hex'), `20010db8${'0'.repeat(22)}09`);
  t.same(Buffer.from(octetsOf('64:ff9b::192.0.2.1')).toString('hex'), `0064ff9b${'0'.repeat(16)}c0000201`);
});
