import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import type { ChallengeType, PutIssuer } from '@lockstep/contract';
import {
  type DnsServer,
  freePort,
  startDealer,
  startDnsServer,
  startPebble,
  startUpstream,
  testFolder,
  waitFor,
} from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { startFleet } from './fleet/start-fleet.ts';

t.test('each challenge type issues through two edges, connections dealt to them in turn', async (t) => {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const dns = await startDnsServer({
    zones: [
      {
        name: 'example.test',
        records: [
          '* A 127.0.0.1',
          'shop A 127.0.0.1',
          '_acme-challenge.customer CNAME customer.challenges.test.',
          'customer A 127.0.0.1',
        ],
      },
      { name: 'challenges.test', records: [] },
    ],
  });
  t.teardown(() => dns.close());
  const [httpPorts, httpsPorts] = [await freePorts(2), await freePorts(2)];
  const [http, tls] = [await startDealer({ ports: httpPorts }), await startDealer({ ports: httpsPorts })];
  t.teardown(() => Promise.all([http.close(), tls.close()]));
  const pebble = await startPebble({
    httpPort: http.port,
    tlsPort: tls.port,
    dnsServer: dns.address,
    // A name that was proven once is proven again for each order: that is what this test is about.
    env: { PEBBLE_AUTHZREUSE: '0' },
  });
  t.teardown(() => pebble.close());
  const fleet = await startFleet(t, { dir: testFolder(t), httpPorts, httpsPorts });
  const webhook = await startWebhook(t, dns);
  const roots = await pebble.issuingRoots();

  await put('/v1/settings', { resolvers: [dns.address], authoritativeServers: [dns.address] });
  const { tsig, address: server } = dns;
  const rfc2136 = { type: 'rfc2136' as const, server, ...tsig };
  await putIssuer('ca', {});
  await putIssuer('by-http', { challenges: ['http-01'] });
  await putIssuer('by-updates', { challenges: ['dns-01'], dnsProvider: rfc2136 });
  await putIssuer('by-webhook', {
    dnsProvider: { type: 'webhook', url: webhook.url, secret: 'of the hook' },
  });

  async function put(path: string, body: unknown): Promise<void> {
    const answer = await fleet.call('PUT', path, body);
    if (answer.status > 201) throw new Error(`PUT ${path}: ${answer.status} ${answer.text}`);
  }

  function putIssuer(name: string, more: Partial<Extract<PutIssuer, { type: 'acme' }>>): Promise<void> {
    const { directory, rootPem } = pebble;
    return put(`/v1/issuers/${name}`, { type: 'acme', directory, roots: rootPem, ...more });
  }

  function post(host: string, issuer: string, challenge?: ChallengeType) {
    const upstreams = [{ url: upstream.url }];
    const body = { id: idOf(host), hosts: [host], upstreams, issuers: [issuer], challenge };
    return fleet.call('POST', '/v1/routes', body, { prefer: 'wait=30' });
  }

  /** Obtains a certificate for the host, and sees it served: for a wildcard, to a name below it. */
  async function obtain(t: Test, host: string, issuer: string, challenge?: ChallengeType): Promise<void> {
    const { status, body, text } = await post(host, issuer, challenge);
    t.match(
      { status, body },
      { status: 201, body: { status: { state: 'live', nodes: { live: 2, of: 2 } } } },
      text,
    );
    const name = host.replace('*', 'any');
    for (const edge of fleet.edges) t.equal((await fleet.get(edge, name, roots)).status, 200, edge.node);
  }

  /** The types of challenge that the host's certificates came by, the newest first. */
  async function usedFor(host: string): Promise<(ChallengeType | null)[]> {
    const { body } = await fleet.call('GET', `/v1/certificates/${encodeURIComponent(host)}/attempts`);
    return body.items.map(({ challenge }: { challenge: ChallengeType | null }) => challenge);
  }

  async function renew(host: string): Promise<void> {
    const path = `/v1/certificates/${encodeURIComponent(host)}`;
    const before = (await fleet.call('GET', path)).body.serialNumber;
    t.match(await fleet.call('POST', `${path}/renew`), { status: 202 });
    await waitFor(async () => (await fleet.call('GET', path)).body.serialNumber !== before, {
      what: `a new certificate for ${host}`,
    });
  }

  await t.test('http-01', async (t) => {
    await obtain(t, 'http.example.test', 'by-http');
    t.strictSame(await usedFor('http.example.test'), ['http-01']);
    t.ok(http.dealt[0]! + http.dealt[1]! >= 1);
  });

  await t.test('tls-alpn-01, whichever edge the CA comes to', async (t) => {
    const hosts = Array.from({ length: 4 }, (_, index) => `alpn-${index}.example.test`);
    await Promise.all(hosts.map((host) => obtain(t, host, 'ca', 'tls-alpn-01')));
    for (const host of hosts) t.strictSame(await usedFor(host), ['tls-alpn-01']);
    t.ok(
      tls.dealt.every((connections) => connections > 0),
      `each edge had its share: ${tls.dealt}`,
    );
  });

  await t.test('what worked before comes first when a certificate is renewed', async (t) => {
    const host = 'alpn-0.example.test';
    const path = `/v1/routes/${idOf(host)}`;
    t.match(await fleet.call('PATCH', path, { challenge: null }, { prefer: 'wait=30' }), { status: 200 });
    await renew(host);
    // Pebble takes an authorization for good without a challenge in one of a hundred cases, when told to do so in none.
    while ((await usedFor(host))[0] === null) await renew(host);
    t.equal((await usedFor(host))[0], 'tls-alpn-01', 'http-01 would be the first otherwise');
  });

  await t.test('an IP address, by http-01 and by tls-alpn-01, for clients that name no host', async (t) => {
    await put('/v1/issuers/by-address', {
      type: 'acme',
      directory: pebble.directory,
      roots: pebble.rootPem,
      profile: 'shortlived',
    });
    for (const challenge of ['http-01', 'tls-alpn-01'] as const) {
      const body = {
        hosts: ['127.0.0.1'],
        upstreams: [{ url: upstream.url }],
        issuers: ['by-address'],
        challenge,
      };
      await fleet.call('PUT', '/v1/routes/address', body);
      if (challenge === 'tls-alpn-01') await renew('127.0.0.1');
      const { status, body: route } = await fleet.call(
        'PATCH',
        '/v1/routes/address',
        {},
        { prefer: 'wait=30' },
      );
      t.match({ status, state: route.status.state }, { status: 200, state: 'live' });
      const used = await usedFor('127.0.0.1');
      t.equal(used.length, challenge === 'http-01' ? 1 : 2);
      t.ok(([challenge, null] as unknown[]).includes(used[0]), 'null: Pebble took an authorization for good');
      for (const edge of fleet.edges)
        for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
          t.equal(
            (await getByAddress(edge.https, roots, maxVersion)).status,
            200,
            `${edge.node} ${maxVersion}`,
          );
    }
  });

  await t.test('dns-01 by dynamic updates, for a wildcard and its name at once', async (t) => {
    await Promise.all(
      ['*.shop.example.test', 'shop.example.test'].map((host) => obtain(t, host, 'by-updates')),
    );
    t.strictSame(await usedFor('*.shop.example.test'), ['dns-01']);
    t.strictSame(await usedFor('shop.example.test'), ['dns-01']);
    await noTxtLeft('_acme-challenge.shop.example.test');
  });

  await t.test('dns-01 where _acme-challenge is delegated to another zone', async (t) => {
    await obtain(t, 'customer.example.test', 'by-updates');
    t.ok(dns.log.some((line) => /updating zone 'challenges\.test\/IN': adding an RR/.test(line)));
    t.notOk(dns.log.some((line) => line.includes("adding an RR at '_acme-challenge.customer")));
    await noTxtLeft('customer.challenges.test');
  });

  await t.test('dns-01 by a webhook', async (t) => {
    await obtain(t, 'hook.example.test', 'by-webhook', 'dns-01');
    await noTxtLeft('_acme-challenge.hook.example.test');
    t.match(webhook.calls, [
      { action: 'present', host: 'hook.example.test', name: '_acme-challenge.hook.example.test' },
      { action: 'remove' },
    ]);
    t.equal(webhook.calls[1]?.value, webhook.calls[0]?.value);
  });

  await t.test('a webhook that refuses is told of, and once it takes part a check goes on', async (t) => {
    const provider = { type: 'webhook' as const, url: webhook.url, secret: 'of another' };
    await putIssuer('by-refusing', { challenges: ['dns-01'], dnsProvider: provider });
    const { status, body } = await post('refused.example.test', 'by-refusing');
    t.match({ status, state: body.status.state }, { status: 202, state: 'failed' });
    t.match(body.status.reason, /webhook.*401/);
    t.notMatch(JSON.stringify(body), 'of another');
    await putIssuer('by-refusing', {
      challenges: ['dns-01'],
      dnsProvider: { ...provider, secret: 'of the hook' },
    });
    t.match(await fleet.call('POST', '/v1/routes/refused.example.test/check'), { body: { ok: true } });
    await live('refused.example.test');
    await noTxtLeft('_acme-challenge.refused.example.test');
  });

  await t.test('a wildcard without a DNS provider fails at once, and says what is needed', async (t) => {
    const orders = pebble.orderCount();
    const { status, body } = await post('*.none.example.test', 'ca');
    t.match({ status, state: body.status.state }, { status: 202, state: 'failed' });
    t.match(body.status.reason, /DNS-01.*no DNS provider/);
    t.equal(pebble.orderCount(), orders, 'no order was spent on it');
  });

  await t.test('and is tried again when one is set up and its route is checked', async (t) => {
    await put('/v1/settings', {
      resolvers: [dns.address],
      authoritativeServers: [dns.address],
      dnsProvider: rfc2136,
    });
    t.match(await fleet.call('POST', `/v1/routes/${idOf('*.none.example.test')}/check`), {
      body: { ok: true },
    });
    await live('*.none.example.test');
  });

  async function live(host: string): Promise<void> {
    const state = async () => (await fleet.call('GET', `/v1/routes/${idOf(host)}`)).body.status.state;
    await waitFor(async () => (await state()) === 'live', { what: `${host} to be live` });
  }

  async function noTxtLeft(name: string): Promise<void> {
    const resolver = new Resolver();
    resolver.setServers([dns.address]);
    // Removed after the certificate was committed: a moment after the route is live.
    await waitFor(
      () =>
        resolver.resolveTxt(name).then(
          () => false,
          ({ code }) => code === 'ENODATA' || code === 'ENOTFOUND',
        ),
      { what: `the TXT records at ${name} to be gone` },
    );
  }
});

/** As browsers do: without a server name, the certificate is checked for the address. */
async function getByAddress(port: number, ca: string, maxVersion: 'TLSv1.2' | 'TLSv1.3') {
  const sent = request({ host: '127.0.0.1', port, ca, maxVersion, agent: false }).end();
  const [response] = await once(sent, 'response');
  response.resume();
  return { status: response.statusCode as number };
}

function idOf(host: string): string {
  return host.replace('*', 'wildcard');
}

function freePorts(count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, freePort));
}

interface WebhookCall {
  action: 'present' | 'remove';
  host: string;
  name: string;
  value: string;
}

/** What a user would write for a DNS of their own: it changes BIND by nsupdate. */
async function startWebhook(t: Test, dns: DnsServer) {
  const calls: WebhookCall[] = [];
  const server = await startUpstream(async (request, response) => {
    if (request.headers.authorization !== 'Bearer of the hook') return response.writeHead(401).end();
    const call: WebhookCall = JSON.parse(await text(request));
    calls.push(call);
    const record = `${call.name}. ${call.action === 'present' ? '60 ' : ''}TXT "${call.value}"`;
    await dns.change(`${call.action === 'present' ? 'add' : 'delete'} ${record}`);
    return response.writeHead(204).end();
  });
  t.teardown(() => server.close());
  return { url: server.url, calls };
}
