import { startDnsServer } from '@lockstep/testkit';
import t from 'tap';
import { createDnsLookup } from '../../src/dns/dns-lookup.ts';
import { leadsToCdn, pointsHere } from '../../src/dns/points-here.ts';
import { seeTraffic } from '../../src/dns/see-traffic.ts';
import { createZones } from '../../src/dns/zones.ts';

const server = await startDnsServer({
  zones: [
    {
      name: 'customer.test',
      records: [
        '@ A 192.0.2.1',
        'cname CNAME edge.fleet.test.',
        'long CNAME cname',
        'good A 192.0.2.1',
        'good AAAA 2001:db8::1',
        'mixed A 192.0.2.1',
        'mixed A 203.0.113.7',
        'six A 192.0.2.1',
        'six AAAA 2001:db8:bad::1',
        'bad A 203.0.113.7',
        'badcname CNAME elsewhere.other.test.',
        'dangling CNAME gone.other.test.',
        'circle CNAME circle2',
        'circle2 CNAME circle',
        '*.wild CNAME edge.fleet.test.',
        'one.wild A 203.0.113.7',
        'nets NS ns',
      ],
    },
    { name: 'sub.customer.test', records: ['@ A 203.0.113.7'] },
    { name: 'other.test', records: ['elsewhere A 203.0.113.8'] },
    { name: 'fleet.test', records: ['edge A 192.0.2.1', 'edge A 192.0.2.2', 'edge AAAA 2001:db8::1'] },
    { name: 'broken.test', records: null },
    {
      name: 'clouded.test',
      records: [
        '@ NS ada.ns.cloudflare.com.',
        '@ NS bob.ns.cloudflare.com.',
        '@ A 104.16.1.1',
        '@ AAAA 2606:4700::1',
        'www A 104.16.1.1',
        'shop CNAME shops.myshopify.com.',
        'parked A 15.197.148.33',
        'half A 104.16.1.1',
        'half A 203.0.113.7',
        'aliased CNAME www.other.test.',
        'branch CNAME plain.test.',
      ],
    },
    { name: 'myshopify.com', records: ['shops A 23.227.38.74'] },
    { name: 'plain.test', records: ['@ NS ns-1.awsdns-01.com.', '@ NS ns-2.awsdns-02.co.uk.'] },
    { name: 'xn--bcher-kva.test', records: ['www A 203.0.113.7'] },
  ],
});
t.teardown(() => server.close());
const lookup = createDnsLookup({ servers: [server.address] });
const zones = createZones({ lookups: { current: () => lookup } });
const check = async (host: string, edges: string[]) =>
  pointsHere(host, await seeTraffic(lookup, host, edges, zones), edges);
const byName = ['Edge.fleet.test.'];
const byAddress = ['192.0.2.1', '2001:0db8:0::1'];

t.test('a host that leads here is fine, whichever way', async (t) => {
  for (const [host, edges] of [
    ['cname.customer.test', byName],
    ['long.customer.test', byName],
    ['cname.customer.test', [...byAddress, '192.0.2.2']],
    ['customer.test', byAddress],
    ['customer.test', byName],
    ['good.customer.test', byAddress],
    ['good.customer.test', byName],
    ['*.wild.customer.test', byName],
    ['edge.fleet.test', byName],
    ['nowhere.test', []],
    ['good.customer.test', ['192.0.2.0/29', '2001:db8::/48']],
    ['customer.test', ['::ffff:192.0.2.0/120']],
  ] as const) {
    const { ok, requirements } = await check(host, [...edges]);
    t.equal(ok, true, `${host} ${edges}`);
    t.ok(
      requirements.every((row) => row.ok && row.hint === null && row.found !== null),
      'with its records, which are right',
    );
  }
});

t.test('one address that is elsewhere is enough for a no, and is named', async (t) => {
  const mixed = await check('mixed.customer.test', byAddress);
  t.equal(mixed.ok, false);
  t.equal(
    mixed.detail,
    'mixed.customer.test leads here, but also to 203.0.113.7, which is elsewhere: visitors and the certificate authority ' +
      'may be sent there. Remove the A record with 203.0.113.7.',
  );
  t.match(await check('six.customer.test', byAddress), {
    ok: false,
    detail: /Remove the AAAA record with 2001:db8:bad::1\./,
  });
});

t.test('asks for a CNAME record where there is a name for it', async (t) => {
  const row = { type: 'CNAME', value: 'edge.fleet.test', purpose: 'traffic', ok: false } as const;
  const bad = await check('bad.customer.test', ['192.0.2.1', ...byName]);
  t.match(bad, {
    ok: false,
    detail:
      'bad.customer.test leads to 203.0.113.7, which is elsewhere. Create a CNAME record for bad.customer.test with ' +
      'the value edge.fleet.test. Remove what is there now.',
  });
  const host = 'bad.customer.test';
  const hint = 'bad.customer.test leads to 203.0.113.7, which is elsewhere. Put this record in its place.';
  t.strictSame(bad.requirements, [{ ...row, host, name: host, found: ['203.0.113.7'], hint }]);
  const fresh = await check('new.customer.test', byName);
  t.match(fresh, {
    ok: false,
    detail:
      'new.customer.test has no address in the DNS yet. Create a CNAME record for new.customer.test with the value edge.fleet.test.',
    requirements: [{ ...row, host: 'new.customer.test', name: 'new.customer.test', found: [] }],
  });
  t.match(await check('*.customer.test', byName), {
    ok: false,
    requirements: [{ type: 'CNAME', name: '*.customer.test', value: 'edge.fleet.test', found: [] }],
  });
  t.match((await check('badcname.customer.test', byName)).requirements, [
    { found: ['elsewhere.other.test'] },
  ]);
});

t.test('an apex cannot have a CNAME record: asks for the addresses behind the name', async (t) => {
  // other.test is one by the list of public suffixes, sub.customer.test because it is a zone of its own.
  for (const [host, found] of [
    ['other.test', []],
    ['sub.customer.test', ['203.0.113.7']],
  ] as const) {
    const row = { host, name: host, purpose: 'traffic', ok: false, hint: String } as const;
    const result = await check(host, byName);
    t.equal(result.ok, false);
    t.match(result.detail, /an ALIAS \(ANAME, flattened CNAME\) record to edge\.fleet\.test/);
    t.match(
      result.requirements,
      [
        { ...row, type: 'A', value: '192.0.2.1', found },
        { ...row, type: 'A', value: '192.0.2.2', found },
        { ...row, type: 'AAAA', value: '2001:db8::1', found: [] },
      ],
      host,
    );
  }
});

t.test('without a name, asks for the given addresses', async (t) => {
  const result = await check('bad.customer.test', byAddress);
  t.match(result.detail, /Create for bad\.customer\.test the record A 192\.0\.2\.1 or AAAA 2001:db8::1\./);
  t.match(result.requirements, [
    { type: 'A', value: '192.0.2.1', found: ['203.0.113.7'] },
    { type: 'AAAA', value: '2001:db8::1', found: [] },
  ]);
});

t.test(
  'where there are ranges alone, the sentence names them: there is no one record to ask for',
  async (t) => {
    const result = await check('bad.customer.test', ['192.0.2.0/29', '2001:db8::/48']);
    t.match(
      result.detail,
      /leads to 203\.0\.113\.7, which is elsewhere\. Create for bad\.customer\.test a record with an address of the fleet; they are in 192\.0\.2\.0\/29, 2001:db8::\/48\./,
    );
    t.strictSame(result.requirements, []);
    const mixed = await check('bad.customer.test', ['192.0.2.0/29', '198.51.100.9']);
    t.match(mixed.requirements, [{ type: 'A', value: '198.51.100.9' }]);
  },
);

t.test('a host that a CDN is in front of has to lead somewhere, wherever that is', async (t) => {
  const cdn = async (host: string) => leadsToCdn(host, await seeTraffic(lookup, host, []));
  for (const [host, detail] of [
    ['bad.customer.test', /leads to 203\.0\.113\.7, which is taken for its CDN/],
    ['badcname.customer.test', /leads to elsewhere\.other\.test, which is taken for its CDN/],
    ['*.wild.customer.test', /leads to edge\.fleet\.test/],
  ] as const)
    t.match(await cdn(host), { ok: true, detail }, host);
  for (const [host, detail] of [
    ['new.customer.test', /has no address in the DNS yet\. Create the records that its CDN asks for/],
    ['dangling.customer.test', /leads to gone\.other\.test, which has no address/],
    ['www.broken.test', /could not be checked: .*SERVFAIL/],
  ] as const)
    t.match(await cdn(host), { ok: false, detail }, host);
});

t.test('tells the ways to fail apart', async (t) => {
  for (const [host, detail] of [
    ['dangling.customer.test', /leads to gone\.other\.test, which has no address/],
    ['circle.customer.test', /could not be checked: .*circle/],
    ['www.broken.test', /could not be checked: .*SERVFAIL/],
  ] as const) {
    const result = await check(host, byName);
    t.match(result, { ok: false, detail }, host);
    t.match(result.requirements, [{ type: 'CNAME', value: 'edge.fleet.test', ok: false }]);
    t.match(result.requirements[0]?.found, host.startsWith('dangling') ? ['gone.other.test'] : null);
  }
  const unknown = await check('bad.customer.test', ['edge.broken.test']);
  t.match(unknown, {
    ok: false,
    detail: /whether that is here could not be checked: .*edge\.broken\.test.*SERVFAIL/,
  });
});

t.test('says whose what is found is, and what to do about it there', async (t) => {
  for (const [host, detail] of [
    [
      'www.clouded.test',
      "www.clouded.test leads to 104.16.1.1, an address of Cloudflare's proxy. Create a CNAME record for www.clouded.test " +
        'with the value edge.fleet.test. At Cloudflare it has to be “DNS only”, not “Proxied”; where the record is there already, that switch is all there is to do.',
    ],
    [
      'shop.clouded.test',
      'shop.clouded.test leads to shops.myshopify.com (23.227.38.74), which is Shopify. Create a CNAME record for ' +
        'shop.clouded.test with the value edge.fleet.test. Remove what is there now.',
    ],
    [
      'parked.clouded.test',
      "parked.clouded.test leads to 15.197.148.33, an address of GoDaddy's parking and forwarding. Create a CNAME record for " +
        'parked.clouded.test with the value edge.fleet.test. Remove what is there now, and turn off parking and forwarding of the domain.',
    ],
    ['half.clouded.test', /leads to 104\.16\.1\.1, 203\.0\.113\.7, which is elsewhere\./],
    [
      'clouded.test',
      "clouded.test leads to 104.16.1.1, 2606:4700::1, addresses of Cloudflare's proxy. Create for clouded.test the record " +
        'A 192.0.2.1 or A 192.0.2.2 or AAAA 2001:db8::1, or a CNAME record to edge.fleet.test, which Cloudflare has for this. ' +
        'At Cloudflare it has to be “DNS only”, not “Proxied”; where the record is there already, that switch is all there is to do.',
    ],
    [
      'plain.test',
      'plain.test has no address in the DNS yet. Create for plain.test the record A 192.0.2.1 or A 192.0.2.2 or AAAA 2001:db8::1.',
    ],
    ['www.xn--bcher-kva.test', /^www\.xn--bcher-kva\.test leads to 203\.0\.113\.7, which is elsewhere/],
  ] as const) {
    const result = await check(host, byName);
    if (typeof detail === 'string') t.equal(result.detail, detail, host);
    else t.match(result.detail, detail, host);
    t.match(
      result.requirements[0]?.hint,
      result.detail.split('. ')[0],
      'the hint says the same of what is there',
    );
  }
});

t.test('a hint names what there may be in place of the records', async (t) => {
  const hintOf = async (host: string) => (await check(host, byName)).requirements[0]?.hint;
  t.equal(
    await hintOf('clouded.test'),
    "clouded.test leads to 104.16.1.1, 2606:4700::1, addresses of Cloudflare's proxy. Put these records in its place; one of them is enough. At Cloudflare " +
      'it has to be “DNS only”, not “Proxied”; where the record is there already, that switch is all there is to do. In place of ' +
      'these records there may be a CNAME record to edge.fleet.test, which Cloudflare has for this.',
  );
  t.equal(
    await hintOf('plain.test'),
    'plain.test has no address in the DNS yet. Create these records; one of them is enough.',
  );
});

t.test('finds the zone of a host, and who keeps it', async (t) => {
  for (const [host, own, name, keeper] of [
    ['www.clouded.test', false, 'clouded.test', 'Cloudflare'],
    ['*.clouded.test', false, 'clouded.test', 'Cloudflare'],
    ['aliased.clouded.test', false, 'clouded.test', 'Cloudflare'],
    ['shop.branch.clouded.test', false, 'clouded.test', 'Cloudflare'],
    ['a.b.c.d.e.clouded.test', false, 'clouded.test', 'Cloudflare'],
    ['plain.test', false, 'plain.test', 'Amazon Route 53'],
    ['sub.customer.test', true, 'sub.customer.test', undefined],
    ['x.sub.customer.test', false, 'sub.customer.test', undefined],
    ['www.broken.test', false, 'broken.test', undefined],
    ['www.nowhere.test', false, 'nowhere.test', undefined],
  ] as const) {
    const zone = await zones.of(host, own);
    t.match({ name: zone.name, keeper: zone.keeper?.name }, { name, keeper }, host);
  }
});

t.test('each record says whether something has to be done about it', async (t) => {
  const rows = async (host: string, edges = byAddress) =>
    (await check(host, edges)).requirements.map(({ type, found, ok }) => ({ type, found, ok }));
  t.strictSame(await rows('six.customer.test'), [
    { type: 'A', found: ['192.0.2.1'], ok: true },
    { type: 'AAAA', found: ['2001:db8:bad::1'], ok: false },
  ]);
  t.strictSame(
    await rows('six.customer.test', ['192.0.2.1']),
    [{ type: 'A', found: ['192.0.2.1', '2001:db8:bad::1'], ok: false }],
    'what no record is asked for has to go, and stands where one sees it',
  );
  t.strictSame(
    await rows('customer.test'),
    [
      { type: 'A', found: ['192.0.2.1'], ok: true },
      { type: 'AAAA', found: [], ok: true },
    ],
    'one of several is enough',
  );
});

t.test('the records are the same before a look, after it, and when they are right', async (t) => {
  const of = (host: string, seen: Parameters<typeof pointsHere>[1], edges: string[]) =>
    pointsHere(host, seen, edges).requirements.map(({ type, name, value }) => `${type} ${name} ${value}`);
  for (const edges of [byName, byAddress])
    for (const host of ['cname.customer.test', 'bad.customer.test', 'www.broken.test'])
      t.strictSame(of(host, await seeTraffic(lookup, host, edges), edges), of(host, null, edges));
  const unseen = pointsHere('bad.customer.test', null, byName);
  t.match(unseen.requirements, [{ found: null, ok: false, hint: null }]);
  const before = await check('whole.customer.test', byName);
  await server.change('add whole.customer.test. 3600 CNAME edge.fleet.test.');
  const after = await check('whole.customer.test', byName);
  t.strictSame(after.requirements, [
    { ...before.requirements[0], found: ['edge.fleet.test'], ok: true, hint: null },
  ]);
});

t.test('a host is well just when each of its records is, whatever was seen', async (t) => {
  const addresses = ['192.0.2.1', '192.0.2.2', '2001:db8::1', '203.0.113.7', '2001:db8:bad::1', '104.16.1.1'];
  const fleet = { 'edge.fleet.test': ['192.0.2.1', '192.0.2.2', '2001:db8::1'] };
  const none = { failure: null, zone: false, fleet, fleetFailure: null, keeper: null };
  let well = 0;
  for (const edges of [byName, byAddress, ['192.0.2.2', '203.0.113.0/24'], [...byName, '198.51.100.7']])
    for (const host of ['www.customer.test', 'customer.test', '*.customer.test'])
      for (const chain of [[], ['edge.fleet.test'], ['else.test'], ['else.test', 'edge.fleet.test']])
        for (let set = 0; set < 1 << addresses.length; set += 1) {
          const present = addresses.filter((_, index) => set & (1 << index));
          const { ok, detail, requirements } = pointsHere(
            host,
            { ...none, chain, addresses: present },
            edges,
          );
          const what = JSON.stringify({ edges, host, chain, present });
          if (requirements.every((row) => row.ok) !== ok) t.fail(what);
          if (requirements.some((row) => row.found === null || row.ok !== (row.hint === null))) t.fail(what);
          if (requirements.length === 0 || /undefined|null/.test(detail)) t.fail(what);
          if (ok) well += 1;
        }
  t.ok(well > 100);
});

t.test('what was seen is judged by the settings of now', async (t) => {
  const seen = await seeTraffic(lookup, 'cname.customer.test', byName);
  t.match(pointsHere('cname.customer.test', seen, ['new.fleet.test']), {
    ok: false,
    requirements: [{ value: 'new.fleet.test', found: ['edge.fleet.test'], ok: false }],
  });
  const apex = await seeTraffic(lookup, 'customer.test', byName);
  t.strictSame(
    pointsHere('customer.test', apex, ['new.fleet.test']).requirements,
    [],
    'not the old addresses',
  );
});

t.test('a change counts at once: nothing is remembered', async (t) => {
  t.match(await check('soon.customer.test', byName), { ok: false });
  await server.change('add soon.customer.test. 3600 CNAME edge.fleet.test.');
  t.match(await check('soon.customer.test', byName), { ok: true });
});
