import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type DnsServer, startDnsServer } from '@lockstep/testkit';
import t from 'tap';
import { createDnsLookup } from '../../src/dns/dns-lookup.ts';
import { checkPropagation } from '../../src/dns/propagation.ts';

const records = [
  '@ NS ns1',
  '@ NS ns2',
  'ns1 A 127.0.0.1',
  'ns2 A 127.0.0.2',
  'half NS ns1',
  'half NS dead',
  'dead A 127.0.0.9',
];
const zones = [
  { name: 'example.test', records },
  { name: 'half.example.test', records: ['@ NS ns1.example.test.', '@ NS dead.example.test.'] },
  {
    name: 'third.example.test',
    records: ['@ NS ns1.example.test.', '@ NS dead.example.test.', '@ NS nowhere.example.test.'],
  },
];
const one = await startDnsServer({ zones });
t.teardown(() => one.close());
const two = await startDnsServer({ zones });
t.teardown(() => two.close());
// Name servers are asked on one port. BIND listens on an interface's own addresses only, so another one leads to the second
// server; on 127.0.0.9 nobody listens.
const { port } = one;
await relay('127.0.0.2', two.port);
const lookup = createDnsLookup({ servers: [one.address], timeoutMs: 1_500, tries: 1 });
const check = (name: string, authoritativeServers: string[] = []) =>
  checkPropagation(lookup, { name, value: 'right', authoritativeServers, port });
const add = (server: DnsServer, name: string, value = 'right') =>
  server.change(`add ${name}. 60 TXT "${value}"`);

t.test('done once every name server of the zone has the value', async (t) => {
  const name = '_acme-challenge.www.example.test';
  t.strictSame((await check(name)).missing.sort(), [
    `ns1.example.test (127.0.0.1:${port}): does not have the record yet`,
    `ns2.example.test (127.0.0.2:${port}): does not have the record yet`,
  ]);
  await add(one, name);
  t.match(await check(name), { done: false, missing: [/^ns2\.example\.test/] });
  await add(two, name, 'wrong');
  t.match(await check(name), { done: false, missing: [/^ns2\.example\.test/] });
  await add(two, name);
  t.strictSame(await check(name), { done: true, missing: [] });
});

t.test('a silent name server does not hold it up, but most of them silent do', async (t) => {
  const half = '_acme-challenge.half.example.test';
  t.match(await check(half), { done: false }, 'a silent one does not stand in for a record');
  await add(one, half);
  t.strictSame(await check(half), { done: true, missing: [] });
  const third = '_acme-challenge.third.example.test';
  await add(one, third);
  const { done, missing } = await check(third);
  t.equal(done, false);
  t.match(missing.sort(), [/^dead\.example\.test \(127\.0\.0\.9/, /^nowhere\.example\.test: has no address/]);
});

t.test('the servers of the settings are asked instead', async (t) => {
  const name = '_acme-challenge.api.example.test';
  await add(two, name);
  t.match(await check(name), { done: false });
  t.strictSame(await check(name, [two.address]), { done: true, missing: [] });
  t.strictSame((await check(name, [one.address, two.address])).missing, [
    `${one.address}: does not have the record yet`,
  ]);
});

t.test('a name in no zone is not there', async (t) => {
  t.strictSame(await check('_acme-challenge.nowhere.invalid'), {
    done: false,
    missing: ['no zone was found for _acme-challenge.nowhere.invalid'],
  });
});

async function relay(host: string, target: number): Promise<void> {
  const outside = createSocket('udp4').bind(port, host);
  t.teardown(() => outside.close());
  await once(outside, 'listening');
  outside.on('message', (query, from) => {
    const inside = createSocket('udp4').on('message', (answer) => {
      outside.send(answer, from.port, from.address);
      inside.close();
    });
    inside.send(query, target, '127.0.0.1');
  });
}
