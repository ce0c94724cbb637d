import { once } from 'node:events';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { DnsProvider } from '@lockstep/contract';
import { createLocalhostCertificate, startDnsServer, startUpstream } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import type { DnsLookup } from '../../src/dns/dns-lookup.ts';
import { createTxtPublisherRegistry } from '../../src/issuers/txt-publisher-registry.ts';
import { defaultSettings } from '../../src/settings/settings-service.ts';
import { byAdmin } from '../by-admin.ts';
import { startIssuance } from '../start-issuance.ts';

const host = 'shop.example.com';

t.test(
  'a DNS provider that asks to be left alone gets its time, and the order at the CA goes on after it',
  async (t) => {
    const asked: string[] = [];
    const made = new AbortController();
    let busy = true;
    const service = await startUpstream((request, response) => {
      asked.push(request.url ?? '');
      if (busy) response.writeHead(429, { 'retry-after': '600' }).end();
      else response.writeHead(204).end(() => made.abort());
    });
    t.teardown(() => service.close());
    const world = await startIssuance(t, {
      challenges: ['dns-01'],
      dnsProvider: { type: 'webhook', url: service.url },
    });
    await world.putIssuer('next');
    await world.setChain(['ca', 'next']);
    // Without the records, which the provider does not really make: what was made is waited for, and that is as far as this test goes.
    const dns = await startDnsServer({ zones: [{ name: 'example.com', records: [] }] });
    t.teardown(() => dns.close());
    await world.settings.patch(byAdmin, { authoritativeServers: [dns.address], resolvers: [dns.address] });
    for (const name of [host, 'other.example.com']) await world.name(name);
    await world.runDue();
    t.equal(asked.length, 1, 'the second host does not ask again meanwhile');
    const before = await world.order(host);
    t.match(before, { issuer: 'ca', step: 'placed', failures: 0, unproven: 0, lastError: { detail: /429/ } });
    t.ok(Date.parse(before.dueAt ?? '') >= world.now() + 500_000, `due at ${before.dueAt}`);

    busy = false;
    world.advanceTo(Date.parse(before.dueAt ?? ''));
    await world.issuance.runner.run(host, made.signal);
    t.match(await world.order(host), {
      issuer: 'ca',
      step: 'placed',
      orderUrl: before.orderUrl,
      unproven: 0,
    });
    t.equal(asked.length, 2, 'the record is made');
    t.equal(world.pebble.orderCount(), 2, 'one order for each host');
  },
);

t.test('orders may be at another host than the directory', async (t) => {
  const world = await startIssuance(t);
  const { chain, keyPem, rootPem } = await createLocalhostCertificate();
  const answer = await fetchDirectory(world.front.directory);
  const server = createServer({ cert: chain, key: keyPem }, (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const directory = `https://localhost:${(server.address() as AddressInfo).port}/dir`;
  await world.putIssuer('ca', { directory, roots: `${world.front.rootPem}\n${rootPem}` });
  await world.name(host);
  await world.runUntil(async () => (await world.store.get('certificate', host)) !== null);
  t.equal(world.pebble.orderCount(), 1);
});

async function fetchDirectory(directory: string): Promise<string> {
  const [response] = await once(
    get(directory, { rejectUnauthorized: false, agent: false, headers: { 'user-agent': 'test' } }),
    'response',
  );
  return text(response);
}

t.test('a DNS provider in use is not closed for how many there are', async (t) => {
  const held = Promise.withResolvers<void>();
  const service = await startUpstream(async (_, response) => {
    await held.promise;
    response.writeHead(204).end();
  });
  t.teardown(() => service.close());
  const warnings: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => warnings.push(line) });
  const publishers = createTxtPublisherRegistry({
    settings: { current: () => defaultSettings() },
    lookups: { current: () => ({}) as DnsLookup, close() {} } as never,
    log,
    now: Date.now,
  });
  const own = (path: number): DnsProvider => ({ type: 'webhook', url: `${service.url}/${path}` });
  const first = publishers.find(own(0));
  const done = first?.withdraw(host, { name: `_acme-challenge.${host}`, value: 'v', since: '' });
  for (let path = 1; path <= 1_000; path += 1) publishers.find(own(path));
  t.equal(publishers.find(own(0)), first, 'it is still the same one');
  held.resolve();
  await done;
  t.same(warnings, []);
  publishers.close();
});
