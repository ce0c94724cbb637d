import { Resolver } from 'node:dns/promises';
import t from 'tap';
import { startPebble } from '../src/index.ts';

t.test('what a test puts into Pebble’s DNS counts at once, and goes again', async (t) => {
  const pebble = await startPebble({ httpPort: 1 });
  t.teardown(() => pebble.close());
  const { dns } = pebble;
  const resolver = new Resolver();
  resolver.setServers([dns.address]);
  const host = 'shop.example.com';
  const challenge = `_acme-challenge.${host}`;

  t.same(await resolver.resolve4(host), ['127.0.0.1']);
  await dns.addA(host, ['127.0.0.2']);
  await dns.addAaaa(host, ['::2']);
  await dns.setCname('www.example.com', host);
  t.same(await resolver.resolve4('www.example.com'), ['127.0.0.2']);
  t.same(await resolver.resolve6(host), ['::2']);
  t.same(await resolver.resolveCname('www.example.com'), [host]);
  await dns.clearA(host);
  t.same(await resolver.resolve4(host), ['127.0.0.1']);
  await dns.setDefaultA(null);
  await t.rejects(resolver.resolve4(host), { code: 'ENODATA' });

  await dns.setTxt(challenge, 'one');
  await dns.setTxt(challenge, 'two');
  t.same(await resolver.resolveTxt(challenge), [['one'], ['two']]);
  await dns.clearTxt(challenge);
  await t.rejects(resolver.resolveTxt(challenge), { code: 'ENODATA' });

  await dns.addCaa(host, [{ tag: 'issue', value: 'ca.example' }]);
  t.match(await resolver.resolveCaa(host), [{ issue: 'ca.example' }]);
  await dns.clearCaa(host);
  await t.rejects(resolver.resolveCaa(host), { code: 'ENODATA' });

  await dns.setServfail(host);
  await t.rejects(resolver.resolve4(host), { code: 'ESERVFAIL' });
  await dns.clearServfail(host);
  await t.rejects(resolver.resolve4(host), { code: 'ENODATA' });
  await t.rejects(dns.addA('', []), { message: /refuses add-a/ });

  const second = await startPebble({ httpPort: 1, dnsServer: dns.address });
  t.teardown(() => second.close());
  t.equal(second.dns.address, dns.address);
  t.match(second.log.join('\n'), `Using custom DNS resolver for ACME challenges: ${dns.address}`);
  await t.rejects(second.dns.addA(host, ['127.0.0.3']), { message: /the test’s own/ });
});
