import { Resolver } from 'node:dns/promises';
import t from 'tap';
import { startDnsServer } from '../src/index.ts';

t.test('a DNS server answers for its zones, follows CNAMEs between them, and takes changes', async (t) => {
  const server = await startDnsServer({
    zones: [
      { name: 'one.test', records: ['www CNAME www.two.test.'] },
      { name: 'two.test', records: ['www A 192.0.2.1'] },
      { name: 'broken.test', records: null },
    ],
  });
  t.teardown(() => server.close());
  const resolver = new Resolver({ timeout: 2_000, tries: 1 });
  resolver.setServers([server.address]);
  t.strictSame(await resolver.resolve4('www.one.test'), ['192.0.2.1']);
  t.strictSame(await resolver.resolveNs('one.test'), ['ns.one.test']);
  await t.rejects(resolver.resolve4('www.broken.test'), { code: 'ESERVFAIL' });
  await t.rejects(resolver.resolve4('www.example.com'), { code: 'ENOTFOUND' });
  await server.change('delete www.two.test. A', 'add www.two.test. 60 A 192.0.2.2');
  t.strictSame(await resolver.resolve4('www.one.test'), ['192.0.2.2']);
});

t.test('a DNS server that cannot start says why', async (t) => {
  const zones = [{ name: 'not a name"', records: [] }];
  await t.rejects(startDnsServer({ zones }), { message: /named ended/ });
});
