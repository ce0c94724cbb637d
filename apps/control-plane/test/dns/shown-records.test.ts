import t from 'tap';
import { checkCaa } from '../../src/dns/caa.ts';
import type { DnsLookup, Lookups } from '../../src/dns/dns-lookup.ts';
import { seeTraffic } from '../../src/dns/see-traffic.ts';
import { shownRecords, shownText } from '../../src/dns/shown-records.ts';
import { createOwnershipLooks } from '../../src/ownership/ownership-looks.ts';

/** As much as an answer can hold. */
const huge = 'x'.repeat(60_000);
const many = Array.from({ length: 4_000 }, (_, index) => `value ${index}`);
const forging = 'right\r\n\n[x] right\u001b[2J\u202eten.elpmaxe\u2066\u2028';
const token = `lockstep-${'t'.repeat(32)}`;

function lookupOf(values: string[]): DnsLookup {
  const lookup: DnsLookup = {
    addresses: async () => many.map((_, index) => `2001:db8::${(index + 1).toString(16)}`),
    cname: async () => [],
    caa: async () => values.map((value) => ({ flags: 0, tag: 'issue', value })),
    ns: async () => [],
    soa: async () => [],
    txt: async () => values,
    at: () => lookup,
  };
  return lookup;
}

t.test('what a DNS says is kept and shown within bounds, a line each, whatever it says', async (t) => {
  const host = 'shop.example.com';
  for (const values of [[huge], many, [forging], many.map(() => huge)]) {
    const lookup = lookupOf(values);
    const lookups: Lookups = { current: () => lookup };
    const looks = createOwnershipLooks({
      tokens: async () => token,
      lookups,
      http: async () => ({ proven: false, found: [], failure: null }),
    });
    const kept = [
      await looks.look({ host, tenant: 'a' }, 'txt'),
      await checkCaa(lookup, host, { identities: ['ca.example'], method: null, accountUrl: null }),
      await seeTraffic(lookup, host, ['192.0.2.1']),
    ];
    for (const one of kept) {
      const json = JSON.stringify(one);
      t.ok(json.length < 25_000, `${json.length} characters`);
      t.notMatch(json, /\\r|\\n|\\u001b|\u202e|\u2066|\u2028/);
    }
  }
});

t.test('a value that is looked for is found and shown, wherever it stands', async (t) => {
  const lookup = lookupOf([...many, token]);
  const looks = createOwnershipLooks({
    tokens: async () => token,
    lookups: { current: () => lookup },
    http: async () => ({ proven: false, found: [], failure: null }),
  });
  const { proven, requirements } = await looks.look({ host: 'shop.example.com', tenant: 'a' }, 'txt');
  t.equal(proven, 'txt');
  t.equal(requirements[0]?.found?.[0], token);
  t.strictSame(shownRecords(['b', 'a', 'c'], ['c']), ['c', 'b', 'a']);
  t.equal(shownText('plain “text” <b> 漢字'), 'plain “text” <b> 漢字');
});
