import t from 'tap';
import { isAppError, normaliseHost, wildcardOf } from '../../src/index.ts';

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
