import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { startDnsServer } from '@lockstep/testkit';
import t from 'tap';
import { checkCaa } from '../../src/dns/caa.ts';
import { challengeName } from '../../src/dns/cname-chain.ts';
import { createDnsLookup } from '../../src/dns/dns-lookup.ts';
import { pointsHere } from '../../src/dns/points-here.ts';
import { checkPropagation } from '../../src/dns/propagation.ts';
import { createDnsProvider } from '../../src/dns/providers/create-dns-provider.ts';
import { seeTraffic } from '../../src/dns/see-traffic.ts';

const server = await startDnsServer({
  zones: [
    {
      name: 'example.test',
      records: [
        'www A 192.0.2.1',
        'www A 192.0.2.2',
        'www AAAA 2001:db8::1',
        'shop CNAME Edge.Fleet.test.',
        'text TXT "one" ' + '"and more"',
        'empty CAA 0 issue ""',
        'empty CAA 0 ISSUE "ca.test"',
        '_acme-challenge.a CNAME _acme-challenge.b',
        '_acme-challenge.b CNAME b.challenges.fleet.test.',
        '_acme-challenge.c CNAME _acme-challenge.d',
        '_acme-challenge.d CNAME _acme-challenge.c',
        ...Array.from({ length: 10 }, (_, n) => `_acme-challenge.n${n} CNAME _acme-challenge.n${n + 1}`),
      ],
    },
    { name: 'fleet.test', records: ['edge A 192.0.2.9'] },
    { name: 'broken.test', records: null },
  ],
});
t.teardown(() => server.close());
const lookup = createDnsLookup({ servers: [server.address] });

t.test('gives what the DNS holds, through CNAMEs into other zones', async (t) => {
  t.strictSame((await lookup.addresses('www.example.test')).sort(), [
    '192.0.2.1',
    '192.0.2.2',
    '2001:db8::1',
  ]);
  t.strictSame(await lookup.addresses('shop.example.test'), ['192.0.2.9']);
  t.strictSame(await lookup.cname('shop.example.test'), ['edge.fleet.test']);
  t.strictSame(await lookup.ns('example.test'), ['ns.example.test']);
  t.strictSame(await lookup.txt('text.example.test'), ['oneand more']);
  t.match(await lookup.soa('example.test'), [{ nsname: 'ns.example.test' }]);
});

t.test('reads CAA records with empty values, which Node cannot', async (t) => {
  t.same(
    (await lookup.caa('empty.example.test')).sort((a, b) => a.value.localeCompare(b.value)),
    [
      { flags: 0, tag: 'issue', value: '' },
      { flags: 0, tag: 'issue', value: 'ca.test' },
    ],
  );
});

t.test('no such name and no such record are empty lists', async (t) => {
  for (const name of ['nobody.example.test', 'text.example.test', 'no.such.zone']) {
    t.strictSame(await lookup.addresses(name), [], name);
    t.strictSame(await lookup.caa(name), [], name);
    t.strictSame(await lookup.soa(name), [], name);
  }
});

t.test('what could not be answered is a sentence', async (t) => {
  await t.rejects(lookup.txt('www.broken.test'), {
    name: 'DnsFailure',
    message: /TXT of www\.broken\.test.*SERVFAIL/,
  });
  await t.rejects(lookup.addresses('www.broken.test'), { name: 'DnsFailure', message: /SERVFAIL/ });
  await t.rejects(lookup.cname(`${'x'.repeat(70)}.example.test`), {
    name: 'DnsFailure',
    message: /cannot hold/,
  });
  await t.rejects(lookup.at(['127.0.0.1:1']).ns('example.test'), {
    name: 'DnsFailure',
    message: /127\.0\.0\.1:1: the DNS server cannot be reached/,
  });
  await t.rejects(lookup.at(['dns.invalid']).ns('example.test'), {
    name: 'DnsFailure',
    message: /name of the DNS server/,
  });
});

t.test('takes a server by name', async (t) => {
  t.strictSame(await lookup.at([`localhost:${server.port}`]).addresses('shop.example.test'), ['192.0.2.9']);
});

t.test('goes on to the next server', async (t) => {
  t.strictSame(await lookup.at(['127.0.0.1:1', server.address]).addresses('shop.example.test'), [
    '192.0.2.9',
  ]);
});

t.test('the name of a challenge is where its CNAME records lead', async (t) => {
  t.equal(await challengeName(lookup, 'a.example.test'), 'b.challenges.fleet.test');
  t.equal(await challengeName(lookup, '*.a.example.test'), 'b.challenges.fleet.test');
  t.equal(await challengeName(lookup, 'plain.example.test'), '_acme-challenge.plain.example.test');
  await t.rejects(challengeName(lookup, 'c.example.test'), { name: 'DnsFailure', message: /circle/ });
  await t.rejects(challengeName(lookup, 'n0.example.test'), {
    name: 'DnsFailure',
    message: /more than 8 names/,
  });
  t.equal(await challengeName(lookup, 'n2.example.test'), '_acme-challenge.n10.example.test');
});

t.test('a DNS that never answers costs a bounded time, and everyone hears a sentence', async (t) => {
  const silent = createSocket('udp4').bind(0, '127.0.0.1');
  t.teardown(() => silent.close());
  await once(silent, 'listening');
  const address = `127.0.0.1:${silent.address().port}`;
  // One try may take long here, so that only the deadline can end it.
  const patient = createDnsLookup({ servers: [address], timeoutMs: 30_000, deadlineMs: 200 });
  const start = performance.now();
  const provider = createDnsProvider(
    { type: 'rfc2136', server: address, keyName: 'k', algorithm: 'hmac-sha256', secret: 'AAAA' },
    { lookup: patient, timeoutMs: 200 },
  );
  const question = { name: '_acme-challenge.www.example.test', value: 'v', authoritativeServers: [] };
  const edges = ['192.0.2.1', 'edge.fleet.test'];
  const [points, caa, spread, spreadAt] = await Promise.all([
    seeTraffic(patient, 'www.example.test', edges).then((seen) =>
      pointsHere('www.example.test', seen, edges),
    ),
    checkCaa(patient, 'www.example.test', { identities: ['ca.test'], method: null, accountUrl: null }),
    checkPropagation(patient, question),
    checkPropagation(patient, { ...question, authoritativeServers: [address] }),
    t.rejects(challengeName(patient, 'www.example.test'), {
      name: 'DnsFailure',
      message: /no answer in time/,
    }),
    t.rejects(provider.present({ host: 'www.example.test', ...question }), {
      name: 'DnsProviderError',
      message: /rfc2136.*no answer in time/,
    }),
  ]);
  t.match(points, { ok: false, detail: /no answer in time/ });
  t.match(points.requirements, [{ type: 'CNAME', value: 'edge.fleet.test' }]);
  t.match(caa, { allowed: false, detail: /no answer in time/, requirement: null });
  t.match(spread, { done: false, missing: [/no answer in time/] });
  t.match(spreadAt, { done: false, missing: [/no answer in time/] });
  t.ok(performance.now() - start < 30_000, 'the deadline ended it, not the try');
});
