import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { DnsProvider } from '@lockstep/contract';
import { type DnsServer, startDnsServer } from '@lockstep/testkit';
import t from 'tap';
import { createDnsLookup } from '../../src/dns/dns-lookup.ts';
import { createDnsProvider } from '../../src/dns/providers/create-dns-provider.ts';
import { signMessage, verifyAnswer } from '../../src/dns/providers/tsig.ts';
import { encodeUpdate } from '../../src/dns/providers/update-message.ts';
import { exchangeOverTcp } from '../../src/dns/tcp-exchange.ts';

type Config = DnsProvider & { type: 'rfc2136' };

const zones = [
  { name: 'example.test', records: [] },
  { name: 'sub.example.test', records: [] },
];
const server = await startDnsServer({ zones });
t.teardown(() => server.close());
const lookup = createDnsLookup({ servers: [server.address] });
const host = 'www.example.test';
const name = '_acme-challenge.www.example.test';

function configure(at: DnsServer, changes: Partial<Config> = {}): Config {
  return { type: 'rfc2136', server: at.address, ...at.tsig, ...changes };
}

function start(t: Tap, config: Config, timeoutMs = 2_000) {
  const provider = createDnsProvider(config, { lookup, timeoutMs });
  t.teardown(() => provider.close());
  return provider;
}
type Tap = { teardown(close: () => unknown): unknown };

t.test('makes and removes one value, again and again, and leaves the others alone', async (t) => {
  const provider = start(t, configure(server));
  await server.change(`add ${name}. 300 TXT "someone else's"`);
  await provider.present({ host, name, value: 'first' });
  await provider.present({ host, name, value: 'second' });
  await provider.present({ host, name, value: 'second' });
  t.strictSame((await lookup.txt(name)).sort(), ['first', 'second', "someone else's"]);
  await provider.remove({ host, name, value: 'first' });
  await provider.remove({ host, name, value: 'first' });
  t.strictSame((await lookup.txt(name)).sort(), ['second', "someone else's"]);
  await provider.remove({ host, name, value: 'second' });
  await provider.remove({ host, name: '_acme-challenge.never.example.test', value: 'second' });
  t.strictSame(await lookup.txt(name), ["someone else's"]);
});

t.test('finds the closest zone at the server, or takes the given one', async (t) => {
  const deep = '_acme-challenge.a.b.sub.example.test';
  const record = { host: 'a.b.sub.example.test', name: deep, value: 'v' };
  await start(t, configure(server)).present(record);
  t.strictSame(await lookup.txt(deep), ['v']);
  t.ok(server.log.some((line) => line.includes("updating zone 'sub.example.test/IN'")));
  await start(t, configure(server, { zone: 'Sub.Example.test.' })).remove(record);
  t.strictSame(await lookup.txt(deep), []);
  await t.rejects(start(t, configure(server, { zone: 'other.test' })).present(record), {
    name: 'DnsProviderError',
    message: /is not in the zone other\.test/,
  });
  await t.rejects(start(t, configure(server, { zone: 'test' })).present(record), {
    name: 'DnsProviderError',
    message: /not the primary of the zone \(NOTAUTH\)/,
  });
});

t.test('signs with each algorithm', async (t) => {
  for (const algorithm of ['hmac-sha384', 'hmac-sha512'] as const) {
    const other = await startDnsServer({ zones, algorithm });
    t.teardown(() => other.close());
    await start(t, configure(other)).present({ host, name, value: 'v' });
    t.strictSame(await lookup.at([other.address]).txt(name), ['v'], algorithm);
  }
});

t.test('says what the server holds against it, and never the secret', async (t) => {
  const secret = Buffer.from('not the secret of this server').toString('base64');
  const { secret: _, ...without } = configure(server);
  const cases: [config: Config, message: RegExp][] = [
    [configure(server, { secret }), /BADSIG/],
    [configure(server, { keyName: 'nobody' }), /BADKEY/],
    [configure(server, { algorithm: 'hmac-sha512' }), /BADKEY|BADSIG/],
    [
      configure(server, { server: '127.0.0.1:1', zone: 'example.test' }),
      /cannot be reached \(ECONNREFUSED\)/,
    ],
    [configure(server, { server: '127.0.0.1:1' }), /looking up SOA/],
    [without, /has no secret set/],
  ];
  for (const [config, message] of cases) {
    const error = await start(t, config)
      .present({ host, name, value: 'refused' })
      .catch((error) => error);
    t.match(error, { name: 'DnsProviderError', message });
    t.match(error.message, /^DNS provider rfc2136/);
    t.notOk(error.message.includes(config.secret ?? secret));
  }
  t.notOk((await lookup.txt(name)).includes('refused'));
});

t.test('a clock that is wrong is called that', async (t) => {
  const { keyName, algorithm, secret } = server.tsig;
  const key = { name: keyName, algorithm, secret: Buffer.from(secret, 'base64') };
  const update = encodeUpdate({ zone: 'example.test', name, value: 'late', action: 'add' });
  const hourAgo = Date.now() - 3_600_000;
  const { message, mac } = signMessage(update, key, hourAgo);
  const address = { host: '127.0.0.1', port: server.port };
  const answer = await exchangeOverTcp(address, message, { timeoutMs: 2_000 });
  t.match(verifyAnswer({ answer, key, request: message, requestMac: mac, now: hourAgo }), /BADTIME/);

  const good = signMessage(update, key, Date.now());
  const accepted = await exchangeOverTcp(address, good.message, { timeoutMs: 2_000 });
  const input = { answer: accepted, key, request: good.message, requestMac: good.mac };
  t.equal(verifyAnswer({ ...input, now: Date.now() }), null);
  t.match(verifyAnswer({ ...input, now: hourAgo }), /clocks differ/, 'an answer kept for an hour');
  t.match(
    verifyAnswer({ ...input, requestMac: mac, now: Date.now() }),
    /signature/,
    'the answer to another request',
  );
  for (let length = 0; length < accepted.length; length++) {
    const cut = accepted.subarray(0, length);
    t.not(verifyAnswer({ ...input, answer: cut, now: Date.now() }), null);
  }
});

t.test('believes no answer that was altered on the way, or is not signed', async (t) => {
  const alterations: [alter: (answer: Buffer) => Buffer, message: RegExp][] = [
    [(answer) => flip(answer, answer.length - 20), /signature does not fit/],
    [(answer) => flip(answer, 2, 0x04), /signature does not fit/],
    [(answer) => flip(answer, 1), /to something else/],
    // The header and the zone, with nothing after it: as a forger without the key would write it.
    [(answer) => Buffer.concat([answer.subarray(0, 4), Buffer.alloc(8)]), /not signed/],
    [() => Buffer.from('no'), /no DNS message/],
  ];
  for (const [alter, message] of alterations) {
    const address = await startRelay(t, alter);
    await t.rejects(
      start(t, configure(server, { server: address, zone: 'example.test' })).present({
        host,
        name,
        value: 'v',
      }),
      { name: 'DnsProviderError', message },
    );
  }
  const untouched = await startRelay(t, (answer) => answer);
  await start(t, configure(server, { server: untouched, zone: 'example.test' })).present({
    host,
    name,
    value: 'v',
  });
});

t.test('waits no longer than it was told, and stops when closed', async (t) => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  t.teardown(() => silent.close());
  await once(silent, 'listening');
  const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const config = configure(server, { server: address, zone: 'example.test' });
  await t.rejects(start(t, config, 50).present({ host, name, value: 'v' }), {
    message: /no answer within 50 ms/,
  });
  const provider = start(t, config, 60_000);
  const connected = once(silent, 'connection');
  const stopped = t.rejects(provider.present({ host, name, value: 'v' }), {
    name: 'DnsProviderError',
    message: /stopped/,
  });
  await connected;
  provider.close();
  await stopped;
  await t.rejects(provider.present({ host, name, value: 'v' }), { message: /stopped/ });
});

function flip(answer: Buffer, at: number, bits = 0x01): Buffer {
  answer[at]! ^= bits;
  return answer;
}

/** Stands before the real server and alters its answers. */
async function startRelay(t: Tap, alter: (answer: Buffer) => Buffer): Promise<string> {
  const relay = createServer((client) => {
    const upstream = connect(server.port, '127.0.0.1');
    client.pipe(upstream);
    let received = Buffer.alloc(0);
    upstream.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const answer = alter(received.subarray(2));
      client.end(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 0xff]), answer]));
    });
    for (const socket of [client, upstream]) {
      socket
        .on('error', () => {})
        .on('close', () => {
          client.destroy();
          upstream.destroy();
        });
    }
  }).listen(0, '127.0.0.1');
  t.teardown(() => relay.close());
  await once(relay, 'listening');
  return `127.0.0.1:${(relay.address() as AddressInfo).port}`;
}
