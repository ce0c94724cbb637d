import {
  freePort,
  type Pebble,
  startDealer,
  startDnsServer,
  startPebble,
  startUpstream,
  testFolder,
  waitFor,
} from '@lockstep/testkit';
import t from 'tap';
import { startFleet } from './fleet/start-fleet.ts';

t.test('no CA is asked for a host that does not lead here, or that CAA records keep from it', async (t) => {
  const upstream = await startUpstream();
  t.teardown(() => upstream.close());
  const dns = await startDnsServer({
    zones: [
      {
        name: 'example.test',
        records: [
          'edge A 127.0.0.1',
          'shop A 203.0.113.7',
          'later A 203.0.113.7',
          'both A 127.0.0.1',
          'both CAA 0 issue "second.example.org"',
          'third A 127.0.0.1',
          'third CAA 0 issue "third.example.org"',
        ],
      },
    ],
  });
  t.teardown(() => dns.close());
  const httpPorts = [await freePort(), await freePort()];
  const dealer = await startDealer({ ports: httpPorts });
  t.teardown(() => dealer.close());
  const [first, second] = await Promise.all(
    ['first.example.org', 'second.example.org'].map((identity) =>
      startPebble({ httpPort: dealer.port, dnsServer: dns.address, caaIdentities: [identity] }),
    ),
  ).then((all) => all as [Pebble, Pebble]);
  t.teardown(() => Promise.all([first.close(), second.close()]));
  const fleet = await startFleet(t, { dir: testFolder(t), httpPorts });
  const { call } = fleet;
  for (const [name, { directory, rootPem }] of Object.entries({ first, second })) {
    const body = { type: 'acme', directory, roots: rootPem };
    t.match(await call('PUT', `/v1/issuers/${name}`, body), { status: 201 });
  }
  const settings = {
    issuers: ['first', 'second'],
    edgeAddresses: ['edge.example.test'],
    resolvers: [dns.address],
  };
  t.match(await call('PUT', '/v1/settings', settings), { status: 200 });

  const post = (label: string, issuers?: string[]) =>
    call(
      'POST',
      '/v1/routes',
      { id: label, hosts: [`${label}.example.test`], upstreams: [{ url: upstream.url }], issuers },
      { prefer: 'wait=60' },
    );
  const route = async (id: string) => (await call('GET', `/v1/routes/${id}`)).body;
  const live = (id: string) =>
    waitFor(async () => (await route(id)).status.state === 'live', {
      what: `${id} to be live`,
    });
  const orders = () => [first.orderCount(), second.orderCount()];

  // It is looked at again in ten seconds: the last test's, which leaves the CAs of the others alone.
  await post('later', ['internal']);
  await dns.change('delete later.example.test. A', 'add later.example.test. 1 CNAME edge.example.test.');

  await t.test('the wait ends at once, with the record to create', async (t) => {
    const began = performance.now();
    const { status, body } = await post('shop');
    t.ok(performance.now() - began < 60_000, 'although the caller would have waited for a minute');
    t.equal(status, 202);
    t.match(body.status, { state: 'waiting_for_dns', nodes: { live: 0, of: 2 } });
    t.strictSame(body.status.dnsRequirements, [
      {
        host: 'shop.example.test',
        type: 'CNAME',
        name: 'shop.example.test',
        value: 'edge.example.test',
        purpose: 'traffic',
        found: ['203.0.113.7'],
        ok: false,
        hint: 'shop.example.test leads to 203.0.113.7, which is elsewhere. Put this record in its place.',
      },
    ]);
    t.match(body.status.reason, /^shop\.example\.test leads to 203\.0\.113\.7, which is elsewhere\. Create/);
    t.strictSame(orders(), [0, 0], 'no CA was asked');
  });

  await t.test('a check says what is wrong; once the DNS is right, it ends the wait', async (t) => {
    const { status } = await route('shop');
    t.match(await call('POST', '/v1/routes/shop/check'), {
      status: 200,
      body: { ok: false, hosts: [{ ok: false, dnsRequirements: status.dnsRequirements }] },
    });
    t.strictSame(orders(), [0, 0]);
    await dns.change('delete shop.example.test. A', 'add shop.example.test. 1 CNAME edge.example.test.');
    t.match(await call('POST', '/v1/routes/shop/check'), { body: { ok: true } });
    await live('shop');
    t.ok(Date.now() < Date.parse(status.certificates[0].nextAttemptAt), 'before the next look was due');
    t.strictSame(orders(), [1, 0]);
    const roots = await first.issuingRoots();
    for (const edge of fleet.edges)
      t.equal((await fleet.get(edge, 'shop.example.test', roots)).status, 200, edge.node);
  });

  await t.test('an issuer that CAA forbids is passed over', async (t) => {
    const before = orders();
    t.match(await post('both'), { status: 201, body: { status: { state: 'live' } } });
    t.match((await call('GET', '/v1/certificates/both.example.test')).body, { issuer: 'second' });
    t.strictSame(orders(), [before[0], before[1]! + 1]);
  });

  await t.test('where CAA forbids the whole chain, the record that would allow it is named', async (t) => {
    const before = orders();
    const { status, body } = await post('third');
    t.match({ status, state: body.status.state }, { status: 202, state: 'waiting_for_dns' });
    const [traffic, caa] = body.status.dnsRequirements;
    t.match(traffic, { purpose: 'traffic', ok: true });
    t.strictSame(caa, {
      host: 'third.example.test',
      type: 'CAA',
      name: 'third.example.test',
      value: '0 issue "first.example.org"',
      purpose: 'caa',
      found: ['0 issue "third.example.org"'],
      ok: false,
      hint:
        'the CAA records of third.example.test (0 issue "third.example.org") do not allow first.example.org to issue. ' +
        'Add the CAA record 0 issue "first.example.org" to third.example.test.',
    });
    t.strictSame(orders(), before);
    await dns.change('add third.example.test. 1 CAA 0 issue "first.example.org"');
    t.match(await call('POST', '/v1/routes/third/check'), { body: { ok: true } });
    await live('third');
    t.match((await call('GET', '/v1/certificates/third.example.test')).body, { issuer: 'first' });
  });

  await t.test('without a check, the next look finds it', () => live('later'));
});
