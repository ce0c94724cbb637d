import { normaliseRange } from '@lockstep/contract';
import t from 'tap';
import { destinationOf, destinations, endsIn, keeperOf, keepers } from '../../src/dns/known-dns.ts';

t.test('each range of the tables is one, and lies in no other', async (t) => {
  const all = destinations().flatMap(({ name, ranges }) => ranges.map((range) => ({ name, range })));
  t.ok(all.length > 60);
  for (const { name, range } of all) {
    t.equal(normaliseRange(range), range, `${name}: ${range}`);
    const [first = ''] = range.split('/');
    t.equal(destinationOf(first)?.name, name, `${range} is of ${name} alone`);
  }
});

t.test('each end of a name is of one place, and one DNS', async (t) => {
  const check = (entries: { name: string; ends: string[] }[]) => {
    for (const { name, ends } of entries)
      for (const end of ends) {
        t.match(end, /^[a-z0-9-]+(?:\*)?(?:\.[a-z0-9-]+)+$|^[a-z0-9-]+-\*(?:\.[a-z]+)+$/, end);
        const example = `ns1.${end.replace('*', '07')}`;
        const others = entries.filter((one) => one.ends.some((other) => endsIn(example, other)));
        t.strictSame(
          others.map((one) => one.name),
          [name],
          `${example} is of ${name} alone`,
        );
      }
  };
  check(keepers().map(({ name, nameServers }) => ({ name, ends: nameServers })));
  check(destinations().map(({ name, names }) => ({ name, ends: names })));
  const names = keepers().map(({ name }) => name);
  t.equal(new Set(names).size, names.length);
  for (const { name, help } of keepers())
    if (help !== undefined) t.equal(new URL(help).protocol, 'https:', name);
});

t.test('a DNS is known by the names of its servers, if they are all of it', async (t) => {
  const nameOf = (...servers: string[]) => keeperOf(servers)?.name ?? null;
  t.equal(nameOf('ada.ns.cloudflare.com', 'BOB.ns.cloudflare.com'), 'Cloudflare');
  t.equal(
    nameOf('ns-2048.awsdns-64.com', 'ns-2049.awsdns-65.net', 'ns-1.awsdns-01.co.uk'),
    'Amazon Route 53',
  );
  t.equal(nameOf('ns53.domaincontrol.com'), 'GoDaddy');
  t.equal(nameOf('ns1.notcloudflare.com'), null);
  t.equal(nameOf('ada.ns.cloudflare.com', 'ns1.example.com'), null, 'two keep the zone');
  t.equal(nameOf('ada.ns.cloudflare.com', 'ns53.domaincontrol.com'), null);
  t.equal(nameOf(), null);
});

t.test('knows places by addresses and by names', async (t) => {
  t.equal(destinationOf('104.16.0.1')?.name, 'Cloudflare');
  t.equal(destinationOf('::ffff:104.16.0.1')?.name, 'Cloudflare');
  t.equal(destinationOf('2606:4700:3030::1')?.name, 'Cloudflare');
  t.equal(destinationOf('shops.myshopify.com')?.name, 'Shopify');
  t.equal(destinationOf('0123abcd.vercel-dns-017.com')?.name, 'Vercel');
  t.equal(destinationOf('203.0.113.7'), null);
  t.equal(destinationOf('notmyshopify.com'), null);
});
