import t from 'tap';
import { readProxyHeader } from '../../../src/native/clients/proxy-header.ts';

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** A header of version 2. */
function binary(versionAndCommand: number, family: number, rest: number[], length = rest.length): Buffer {
  return Buffer.concat([
    signature,
    Buffer.from([versionAndCommand, family, length >> 8, length & 255, ...rest]),
  ]);
}

const v4 = [198, 51, 100, 7, 192, 0, 2, 1, 0x1f, 0x90, 0x01, 0xbb];
const v6 = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 7, ...Array(15).fill(0), 1, 0x1f, 0x90, 0x01, 0xbb];

t.test('headers of both versions tell whose connection it is', async (t) => {
  for (const [header, client, reached = null] of [
    ['PROXY TCP4 198.51.100.7 192.0.2.1 8080 443\r\n', '198.51.100.7', '192.0.2.1'],
    ['PROXY TCP6 2001:db8::7 ::1 8080 443\r\n', '2001:db8::7', '::1'],
    ['PROXY TCP6 2001:db8::7 2001:DB8:0::1 8080 443\r\n', '2001:db8::7', '2001:db8::1'],
    ['PROXY TCP6 2001:db8::7 fe80::1%eth0 8080 443\r\n', '2001:db8::7'],
    ['PROXY TCP6 0:0:0:0:0:FFFF:C633:6407 ::1 8080 443\r\n', '::ffff:198.51.100.7', '::1'],
    ['PROXY UNKNOWN\r\n', null],
    ['PROXY UNKNOWN ffff:: ffff:: 1 2\r\n', null],
    [binary(0x21, 0x11, v4), '198.51.100.7', '192.0.2.1'],
    [binary(0x21, 0x12, v4), '198.51.100.7', '192.0.2.1'],
    [binary(0x21, 0x11, [...v4, 0x04, 0, 1, 9]), '198.51.100.7', '192.0.2.1'],
    [binary(0x21, 0x21, v6), '2001:db8::7', '::1'],
    [binary(0x20, 0x11, v4), null],
    [binary(0x20, 0x00, []), null],
    [binary(0x21, 0x31, Array(216).fill(0)), null],
  ] as [string | Buffer, string | null, string?][]) {
    const whole = Buffer.from(header as string);
    t.same(readProxyHeader(Buffer.concat([whole, Buffer.from('rest')])), {
      bytes: whole.length,
      client,
      reached,
    });
    for (let cut = 0; cut < whole.length; cut += 1) {
      t.equal(readProxyHeader(whole.subarray(0, cut)), 'more', `${header} up to ${cut}`);
    }
  }
});

t.test('what begins as a header and is none is told from what is none at all', async (t) => {
  for (const bad of [
    'PROXY TCP4 198.51.100.7 192.0.2.1 8080\r\n',
    'PROXY TCP4 2001:db8::7 ::1 8080 443\r\n',
    'PROXY TCP6 198.51.100.7 192.0.2.1 8080 443\r\n',
    'PROXY TCP4 198.51.100.7 192.0.2.1 8080 65536\r\n',
    'PROXY TCP4 198.51.100.7 192.0.2.1 08080 443\r\n',
    'PROXY TCP4 198.51.100.7  192.0.2.1 8080 443\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 8080 443\r\n',
    'PROXY TCP5 a b 1 2\r\n',
    'PROXY \r\n',
    `PROXY ${'x'.repeat(120)}`,
    binary(0x11, 0x11, v4),
    binary(0x22, 0x11, v4),
    binary(0x21, 0x11, v4.slice(1)),
    binary(0x21, 0x21, v6.slice(1)),
    binary(0x21, 0x11, [], 4_097),
  ]) {
    t.equal(readProxyHeader(Buffer.from(bad as string)), 'bad', String(bad));
  }
  for (const none of [
    'POST / HTTP/1.1\r\n',
    'PROPFIND /',
    'GET /',
    '\x16\x03\x01',
    '\r\nGET / HTTP/1.1\r\n',
  ]) {
    t.equal(readProxyHeader(Buffer.from(none, 'latin1')), 'none', none);
  }
});

t.test('whatever comes, it is read the same in any pieces, and never past its end', async (t) => {
  let state = 20_261_126;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const seeds = [
    Buffer.from('PROXY TCP4 198.51.100.7 192.0.2.1 8080 443\r\nrest'),
    Buffer.from('PROXY TCP6 2001:db8::7 ::1 8080 443\r\nrest'),
    Buffer.concat([binary(0x21, 0x11, v4), Buffer.from('rest')]),
    Buffer.concat([binary(0x21, 0x21, [...v6, 1, 0, 2, 0x68, 0x32]), Buffer.from('rest')]),
  ];
  let read = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Buffer.from(seeds[random(seeds.length)]!);
    for (let changes = random(4); changes > 0; changes -= 1) bytes[random(bytes.length)] = random(256);
    const whole = bytes.subarray(0, bytes.length - random(3) * random(bytes.length));
    const found = readProxyHeader(whole);
    if (typeof found === 'object') {
      read += 1;
      if (found.bytes > whole.length) t.fail(`${whole.toString('hex')} is read past its end`);
      if (readProxyHeader(whole.subarray(0, found.bytes - 1)) !== 'more') t.fail(whole.toString('hex'));
    }
    // What is decided is decided, however much more comes.
    const earlier = readProxyHeader(whole.subarray(0, random(whole.length + 1)));
    if (earlier !== 'more' && JSON.stringify(earlier) !== JSON.stringify(found)) {
      t.fail(`${whole.toString('hex')}: ${JSON.stringify(earlier)}, then ${JSON.stringify(found)}`);
    }
  }
  t.ok(read > 1_000, `${read} were headers`);
});
