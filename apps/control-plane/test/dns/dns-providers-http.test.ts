import type { IncomingMessage, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { inspect } from 'node:util';
import type { DnsProvider } from '@lockstep/contract';
import { freePort, startDnsServer, startUpstream } from '@lockstep/testkit';
import t from 'tap';
import { createDnsLookup } from '../../src/dns/dns-lookup.ts';
import { createDnsProvider } from '../../src/dns/providers/create-dns-provider.ts';

const server = await startDnsServer({ zones: [{ name: 'auth.test', records: [] }] });
t.teardown(() => server.close());
const lookup = createDnsLookup({ servers: [server.address] });
const record = { host: 'www.example.test', name: '_acme-challenge.www.example.test', value: 'value' };

type Tap = { teardown(close: () => unknown): unknown };

interface Call {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: unknown;
}

/** An HTTP server that notes what it is asked. */
async function startService(t: Tap, answer: (call: Call, response: ServerResponse) => unknown) {
  const calls: Call[] = [];
  const service = await startUpstream(async (request, response) => {
    const { method = '', url = '', headers } = request;
    const body = method === 'POST' ? await json(request) : null;
    calls.push({ method, url, headers, body });
    await answer(calls.at(-1)!, response);
  });
  t.teardown(() => service.close());
  return { url: service.url, calls };
}

function start(t: Tap, config: DnsProvider, timeoutMs = 2_000) {
  const provider = createDnsProvider(config, { lookup, timeoutMs });
  t.teardown(() => provider.close());
  return provider;
}

t.test('webhook: is told what to do, with the secret', async (t) => {
  const { url, calls } = await startService(t, (_, response) => response.writeHead(204).end());
  const provider = start(t, { type: 'webhook', url: `${url}/hook?a=b`, secret: 'hush' });
  await provider.present(record);
  await provider.remove(record);
  t.match(calls, [
    {
      method: 'POST',
      url: '/hook?a=b',
      headers: { authorization: 'Bearer hush', 'content-type': 'application/json' },
      body: { action: 'present', ...record },
    },
    { body: { action: 'remove', ...record } },
  ]);
  await start(t, { type: 'webhook', url }).present(record);
  t.equal(calls[2]!.headers.authorization, undefined);
});

t.test('webhook: anything but 2xx is an error that keeps the secret', async (t) => {
  const { url, calls } = await startService(t, ({ url, headers }, response) => {
    if (url === '/moved') return response.writeHead(302, { location: '/elsewhere' }).end();
    response.writeHead(503, { 'retry-after': '7' }).end(`busy,\nnot for ${headers.authorization}`);
  });
  const error = await start(t, { type: 'webhook', url, secret: 'hush' })
    .present(record)
    .catch((error) => error);
  t.match(error, {
    name: 'DnsProviderError',
    message: 'DNS provider webhook answered 503 to "present": busy, not for Bearer ***',
    retryAfterMs: 7_000,
    passing: true,
  });
  await t.rejects(start(t, { type: 'webhook', url: `${url}/moved` }).present(record), {
    name: 'DnsProviderError',
    message: /answered 302/,
    passing: false,
  });
  t.notOk(
    calls.some((call) => call.url === '/elsewhere'),
    'redirects are not followed',
  );
});

t.test('webhook: one that does not answer costs the time-out, and shows only its origin', async (t) => {
  const { url } = await startService(t, () => {});
  await t.rejects(start(t, { type: 'webhook', url: `${url}/path?key=hush` }, 50).present(record), {
    name: 'DnsProviderError',
    message: `DNS provider webhook at ${url}: no answer within 50 ms`,
  });
  const closed = `http://127.0.0.1:${await freePort()}`;
  await t.rejects(start(t, { type: 'webhook', url: `${closed}/?key=hush` }).present(record), {
    message: `DNS provider webhook at ${closed}: cannot be reached (ECONNREFUSED)`,
  });
  const provider = start(t, { type: 'webhook', url }, 60_000);
  const stopped = t.rejects(provider.present(record), { name: 'DnsProviderError', message: /stopped/ });
  provider.close();
  await stopped;
});

t.test('a secret that HTTP cannot carry is not shown', async (t) => {
  const configs: DnsProvider[] = [
    { type: 'webhook', url: 'http://127.0.0.1', secret: 'hush\nhush' },
    { type: 'webhook', url: 'http://user:hush@127.0.0.1' },
    { type: 'cloudflare', url: 'http://127.0.0.1', token: 'hush\u2026' },
  ];
  for (const config of configs) {
    const error = await start(t, config)
      .present(record)
      .catch((error) => error);
    t.match(error, { name: 'DnsProviderError', message: /not usable in HTTP/ });
    t.notMatch(inspect(error), /hush/);
  }
});

t.test('webhook: an endless answer is cut off', async (t) => {
  const { url } = await startService(t, (_, response) => {
    response.on('error', () => {});
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536))) {}
    };
    response.on('drain', more);
    more();
  });
  await t.rejects(start(t, { type: 'webhook', url }).present(record), { message: /more than 1 MiB/ });
});

// A double: Debian has no acme-dns, and its makers publish no package that could be fetched. It answers as the README of acme-dns
// says; what it would serve is put into the real DNS server.
t.test('acme-dns: sets a value once, so that the other of its two values stays', async (t) => {
  const { url, calls } = await startService(t, ({ headers }, response) => {
    const known = headers['x-api-user'] === 'user' && headers['x-api-key'] === 'hush';
    if (!known) return response.writeHead(401).end('{"error": "forbidden"}');
    response.writeHead(200).end('{"txt": "value"}');
  });
  const config = {
    type: 'acme-dns',
    url: `${url}/`,
    username: 'user',
    password: 'hush',
    subdomain: 'd420',
  } as const;
  const there = { ...record, name: 'd420.auth.test' };
  const provider = start(t, config);
  await provider.present(there);
  t.match(calls, [{ method: 'POST', url: '/update', body: { subdomain: 'd420', txt: 'value' } }]);
  await server.change('add d420.auth.test. 1 TXT "value"');
  await provider.present(there);
  t.equal(calls.length, 1, 'it is there already');
  await provider.present({ ...there, value: 'another' });
  t.equal(calls.length, 2);
  await provider.remove(there);
  t.equal(calls.length, 2, 'acme-dns forgets by itself');
  await t.rejects(start(t, { ...config, password: 'wrong' }).present({ ...there, value: 'third' }), {
    name: 'DnsProviderError',
    message: /answered 401.*forbidden.*check username, password/,
  });
});

// A double: Cloudflare's API is a service on the internet that needs an account. It has the paths, bodies and error codes of its
// public documentation, and refuses what that does not have.
t.test('cloudflare: makes and removes one value in the zone it finds by name', async (t) => {
  const cloud = await startCloud(t, [
    { id: 'z1', name: 'example.test' },
    { id: 'z2', name: 'sub.example.test' },
  ]);
  const provider = start(t, { type: 'cloudflare', token: 'hush', url: cloud.url });
  const deep = { ...record, name: '_acme-challenge.a.sub.example.test' };
  await provider.present(deep);
  await provider.present(deep);
  await provider.present({ ...deep, value: 'other' });
  t.strictSame(cloud.records(), [
    { zone: 'z2', name: deep.name, type: 'TXT', content: '"value"' },
    { zone: 'z2', name: deep.name, type: 'TXT', content: '"other"' },
  ]);
  const searches = () => cloud.calls.filter(({ url }) => url.startsWith('/client/v4/zones?')).length;
  t.equal(searches(), 2, 'a.sub.example.test, then sub.example.test; remembered after that');
  await provider.remove(deep);
  await provider.remove(deep);
  t.match(cloud.records(), [{ content: '"other"' }]);
  t.equal(searches(), 2);

  await start(t, { type: 'cloudflare', token: 'hush', zoneId: 'z1', url: cloud.url }).present(record);
  t.match(cloud.records(), [{}, { zone: 'z1', name: record.name }]);
  t.equal(searches(), 2, 'a given zone is not looked for');
});

t.test('cloudflare: says what the API answered, and never the token', async (t) => {
  const cloud = await startCloud(t, [{ id: 'z1', name: 'example.test' }]);
  const present = (token: string | undefined, name: string) =>
    start(t, { type: 'cloudflare', url: cloud.url, ...(token !== undefined && { token }) }).present({
      ...record,
      name,
    });
  await t.rejects(present('hushed', record.name), {
    name: 'DnsProviderError',
    message: 'DNS provider cloudflare answered 403: Invalid access token (9109)',
  });
  await t.rejects(present('hush', '_acme-challenge.elsewhere.org'), {
    name: 'DnsProviderError',
    message: /shows no zone for _acme-challenge\.elsewhere\.org/,
  });
  await t.rejects(present(undefined, record.name), { message: /has no token set/ });
  const odd = await startService(t, (_, response) => response.writeHead(502).end('<html>hush</html>'));
  await t.rejects(start(t, { type: 'cloudflare', token: 'hush', url: odd.url }).present(record), {
    message: 'DNS provider cloudflare answered 502: <html>***</html>',
  });
});

async function startCloud(t: Tap, zones: { id: string; name: string }[]) {
  const records = new Map<string, { zone: string; name: string; type: string; content: string }>();
  let next = 1;
  const service = await startService(t, ({ method, url, headers, body }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://cloud');
    const succeed = (result: unknown) =>
      response.end(JSON.stringify({ success: true, errors: [], messages: [], result }));
    const fail = (status: number, code: number, message: string) =>
      response
        .writeHead(status)
        .end(JSON.stringify({ success: false, errors: [{ code, message }], messages: [], result: null }));
    if (headers.authorization !== 'Bearer hush') return fail(403, 9109, 'Invalid access token');
    if (method === 'GET' && pathname === '/client/v4/zones') {
      return succeed(zones.filter(({ name }) => name === searchParams.get('name')));
    }
    const [, zone, id] = /^\/client\/v4\/zones\/(\w+)\/dns_records(?:\/(\w+))?$/.exec(pathname) ?? [];
    if (zone === undefined) return fail(404, 7003, 'No route for that URI');
    if (method === 'GET') {
      const named = [...records].filter(
        ([, record]) => record.zone === zone && record.name === searchParams.get('name'),
      );
      return succeed(named.map(([id, record]) => ({ id, ...record })));
    }
    if (method === 'DELETE') {
      if (!records.delete(id ?? '')) return fail(404, 81044, 'Record does not exist.');
      return succeed({ id });
    }
    const { name, type, content } = body as { name: string; type: string; content: string };
    const made = { zone, name, type, content };
    if ([...records.values()].some((record) => JSON.stringify(record) === JSON.stringify(made))) {
      return fail(400, 81058, 'An identical record already exists.');
    }
    records.set(`r${next}`, made);
    succeed({ id: `r${next++}`, ...made });
  });
  return { url: `${service.url}/client/v4`, calls: service.calls, records: () => [...records.values()] };
}
