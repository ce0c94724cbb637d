import { createSealers, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore, maxCommitRecords } from '@lockstep/store';
import { type DnsServer, startDnsServer, testFolder, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { makeCertificate } from '../brought-certificate.ts';
import { dropRecord, proofOf, setRecord, startTenants, upstreams } from './start-tenants.ts';

const waits = { status: 202, body: { status: { state: 'waiting_for_ownership' } } };

/** One for all tests: each has a domain of its own. */
let dns: DnsServer;
const domains = [
  'told',
  'both',
  'first',
  'race',
  'over',
  'wild',
  'later',
  'parent',
  'edit',
  'brought',
  'token',
  'two',
  'many',
];
t.before(async () => {
  const zones = domains.map((name) => ({ name: `${name}.test`, records: [] as string[] | null }));
  dns = await startDnsServer({ zones: [...zones, { name: 'broken.test', records: null }] });
});
t.teardown(() => dns.close());

t.test(
  'a host that is not proven is neither served nor certified, and is as soon as its record is there',
  async (t) => {
    const { tenant, store, admin } = await startTenants(t, testFolder(t), { dns });
    const alpha = await tenant('alpha');
    const host = 'shop.first.test';
    const before = await alpha.call('GET', `/v1/dns-requirements?host=${host}`);
    t.match(before, { status: 200, body: { ok: false, host } });
    const posted = await alpha.post({ id: 'shop', hosts: [host] });
    t.match(posted, {
      status: 202,
      body: {
        hosts: [host],
        unproven: undefined,
        status: {
          state: 'waiting_for_ownership',
          reason:
            /^that shop\.first\.test is yours is not proven: _lockstep\.shop\.first\.test has no TXT record/,
          hosts: [{ host, state: 'waiting_for_ownership' }],
          certificates: [],
          dnsRequirements: [
            {
              host,
              type: 'TXT',
              name: `_lockstep.${host}`,
              value: /^lockstep-[\w-]{32}$/,
              found: [],
              ok: false,
            },
          ],
        },
      },
    });
    t.strictSame(
      proofOf(posted).value,
      proofOf(before).value,
      'what was told before there was a route is what counts',
    );
    t.equal(await store.get('order', host), null);
    t.strictSame(await store.findClaims(`${host} `, 10), [], 'edges, and who asks who has it, find nobody');

    const told = async () => {
      const { items } = (await admin('GET', '/v1/events?limit=100')).body;
      return items
        .map(({ type }: { type: string }) => type)
        .filter((type: string) => type.startsWith('route.'));
    };
    await waitFor(async () => (await told()).length > 1, { what: 'the wait to be told' });
    await dns.change(setRecord(proofOf(posted)));
    t.match(await alpha.call('POST', '/v1/routes/shop/check'), {
      body: { ok: true, hosts: [{ host, ok: true }] },
    });
    await waitFor(async () => (await alpha.show('shop')).status.state === 'live', {
      what: 'the host to be live',
    });
    t.match((await alpha.show('shop')).status.dnsRequirements, [
      { purpose: 'ownership', ok: true, hint: null },
    ]);
    await waitFor(async () => (await told()).includes('route.live'), { what: 'the event' });
    t.strictSame(await told(), ['route.created', 'route.waiting_for_ownership', 'route.live']);
    const audit = (await alpha.call('GET', '/v1/audit?kind=route')).body.items;
    t.match(audit[0], {
      by: { kind: 'ownership' },
      before: { unproven: [host] },
      after: { unproven: undefined },
    });
    await dns.change(dropRecord(proofOf(posted)));
    t.match(await alpha.again('shop'), { status: 200 }, 'what is proven stays so');
  },
);

t.test(
  'of two who ask for a name each waits by a record of its own, and whoever proves it has it',
  async (t) => {
    const { tenant } = await startTenants(t, testFolder(t), { dns });
    const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
    const hosts = ['www.race.test'];
    const [a, b] = await Promise.all([alpha.post({ id: 'a', hosts }), beta.post({ id: 'b', hosts })]);
    t.match(a, waits);
    t.match(b, waits);
    t.not(proofOf(a).value, proofOf(b).value);
    t.equal(proofOf(a).name, proofOf(b).name);
    await dns.change(setRecord(proofOf(b)));
    t.match(await beta.again('b'), { status: 200 });
    const left = await alpha.again('a');
    t.match(left, waits);
    t.notMatch(left.text, /beta|"b"/, 'and of who has it nothing is told');
    t.match(left.body.status, { reason: /has another TXT record/, certificates: [], nodes: { live: 0 } });
    t.match(await alpha.call('GET', '/v1/certificates/www.race.test'), { status: 404 });
    t.match((await alpha.call('GET', '/v1/certificates')).body.items, []);
    t.match((await beta.call('GET', '/v1/certificates')).body.items, [{ id: 'www.race.test' }]);
  },
);

t.test(
  'a name that more routes have than change at once is not handed over, and the reason is told',
  async (t) => {
    const { tenant, operator, url } = await startTenants(t, testFolder(t), { dns });
    const [alpha, beta] = [await tenant('alpha', { ownership: 'off' }), await tenant('beta')];
    const hosts = ['many.test'];
    const lines = Array.from({ length: maxCommitRecords }, (_, index) =>
      JSON.stringify({ id: `m${index}`, hosts, paths: [`/${index}`], upstreams }),
    );
    const made = await fetch(`${url}/v1/routes/bulk`, {
      method: 'POST',
      headers: { authorization: `Bearer ${alpha.token}`, 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    });
    await made.text();
    t.equal(made.status, 200);
    t.match(await operator.show('m0'), { hosts, tenant: 'alpha' });
    await dns.change(setRecord(proofOf(await beta.post({ id: 'b', hosts }))));
    t.match(await beta.again('b'), {
      ...waits,
      body: { status: { reason: /more routes name many\.test than can change at once/ } },
    });
    t.match((await alpha.show('m0')).status.hosts[0], { state: 'live' });
  },
);

t.test(
  'a proven name is taken over with a proof of one’s own, once that of who has it is gone',
  async (t) => {
    const { tenant, admin, store } = await startTenants(t, testFolder(t), { dns });
    const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
    const hosts = ['www.over.test'];
    const asked = proofOf(await alpha.post({ id: 'a', hosts: [...hosts, 'own.over.test'] }));
    await dns.change(setRecord(asked));
    t.match(await alpha.again('a'), {
      status: 202,
      body: {
        status: { hosts: [{ state: 'live' }, { host: 'own.over.test', state: 'waiting_for_ownership' }] },
      },
    });
    const own = proofOf(await beta.post({ id: 'b', hosts, paths: ['/of-beta'] }));
    t.match(await beta.again('b'), waits);
    await dns.change(setRecord(own));
    t.match(await beta.again('b'), {
      ...waits,
      body: { status: { reason: /that of somebody else who has the name now/ } },
    });
    t.match((await alpha.show('a')).status.hosts[0], { state: 'live' });
    const served = async () => (await store.get('certificate', hosts[0]!))?.value.fingerprint256;
    const issuer = 'internal';
    const long = await makeCertificate(hosts[0]!, { lifetimeMs: 10 * 365 * 86_400_000 });
    t.match(await alpha.call('POST', '/v1/certificates', { ...long, issuer }), { status: 201 });
    const theirs = await served();
    await dns.change(dropRecord(asked));
    t.match(await beta.again('b'), { status: 200, body: { status: { state: 'live' } } });
    await waitFor(async () => (await served()) !== theirs, {
      what: 'a certificate whose key nobody has who had the name',
    });
    const lost = (await alpha.show('a')).status;
    t.match(lost.hosts[0], { host: 'www.over.test', state: 'waiting_for_ownership' });
    t.match(lost.reason, /somebody else has proven that www\.over\.test is theirs/);
    t.match(
      lost.dnsRequirements[0],
      { ok: false, value: asked.value },
      'the record that it had proves it anew',
    );
    const changes = (await admin('GET', '/v1/audit?kind=route&principal=ownership')).body.items;
    t.equal(
      new Set(changes.slice(0, 2).map(({ revision }: { revision: number }) => revision)).size,
      1,
      'in one commit',
    );
    const told = async () =>
      (await alpha.call('GET', '/v1/events?limit=100&type=route.waiting_for_ownership')).body.items;
    await waitFor(
      async () =>
        (await told()).some(({ data }: { data: { reason: string } }) => /somebody else/.test(data.reason)),
      {
        what: 'alpha to be told',
      },
    );
    // Both are there, and whoever has the name keeps it.
    await dns.change(setRecord(asked));
    t.match(await alpha.again('a'), { ...waits, body: { status: { reason: /who has the name now/ } } });
  },
);

t.test('a name that was claimed when nothing had to be proven is not taken without a proof', async (t) => {
  const { tenant, admin } = await startTenants(t, testFolder(t), { dns, settings: { ownership: 'off' } });
  const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
  const hosts = ['www.later.test'];
  t.match(await alpha.post({ id: 'a', hosts }), { status: 201 });
  t.match(await beta.post({ id: 'b', hosts, paths: ['/b'] }), { status: 409, body: { code: 'host_taken' } });
  const gamma = await tenant('gamma');
  const shared = { id: 'g', hosts, paths: ['/g'], upstreams, tenant: 'gamma' };
  t.match(await admin('POST', '/v1/routes', shared), { status: 201 }, 'the operator may have two share it');
  await admin('PATCH', '/v1/settings', { ownership: 'txt' });
  t.match(await gamma.post({ hosts, paths: ['/g2'] }), { status: 201 }, 'who has it has it');
  const asked = await beta.post({ id: 'b', hosts, paths: ['/b'] });
  t.match(asked, waits);
  t.match(await alpha.call('PATCH', '/v1/routes/a', { paths: ['/', '/more'] }, { prefer: 'wait=60' }), {
    status: 200,
    body: { status: { state: 'live' } },
  });
  t.match(
    await alpha.post({ id: 'a2', hosts, paths: ['/a2'] }),
    { status: 201 },
    'it serves the name already',
  );
  await admin('PATCH', '/v1/settings', { ownership: 'off' });
  t.match(await beta.again('b'), { status: 409, body: { code: 'host_taken' } });
  t.match(await beta.show('b'), { status: { state: 'waiting_for_ownership' } });
  for (const { id } of (await admin('GET', `/v1/routes?host=${hosts[0]}`)).body.items)
    if (id !== 'b') t.equal((await admin('DELETE', `/v1/routes/${id}`)).status, 204);
  t.match(await beta.again('b'), { status: 200 }, 'free again, and nothing has to be proven');
});

t.test('what waits by the settings is served when they no longer ask for a proof', async (t) => {
  const { tenant, admin, store } = await startTenants(t, testFolder(t), { dns });
  const [alpha, strict] = [await tenant('alpha'), await tenant('strict', { ownership: 'txt' })];
  t.match(await alpha.post({ id: 'a', hosts: ['off.later.test'] }), waits);
  t.match(await strict.post({ id: 's', hosts: ['strict.later.test'] }), waits);
  await admin('PATCH', '/v1/settings', { ownership: 'off' });
  t.match(await alpha.call('POST', '/v1/routes/a/check'), { body: { ok: true } });
  await waitFor(async () => (await alpha.show('a')).status.state === 'live', { what: 'a to be live' });
  t.equal(await store.get('ownership', 'off.later.test/alpha'), null, 'as if nothing had been proven');
  t.match(await strict.again('s'), waits, 'a token that is held to more is held to it');

  const owner = await tenant('owner', { hostSuffixes: ['later.test'] });
  const host = 'held.later.test';
  const held = await owner.call('POST', '/v1/certificates', await makeCertificate(host));
  t.match(held, { status: 201 });
  await admin('PATCH', '/v1/settings', { ownership: 'txt' });
  t.match(await alpha.post({ id: 'held', hosts: [host] }), waits);
  await admin('PATCH', '/v1/settings', { ownership: 'off' });
  t.match(await alpha.call('POST', '/v1/routes/held/check'), { body: { ok: false } });
  t.match(await alpha.again('held'), { status: 409, body: { code: 'host_taken' } });
  t.match((await alpha.show('held')).status, { state: 'waiting_for_ownership' });
  t.match((await store.get('certificate', held.body.id))?.value.names, [host], 'nobody has proven anything');
  await dns.change(setRecord(proofOf({ body: await alpha.show('held') })));
  t.match(await alpha.call('POST', '/v1/routes/held/check'), { body: { ok: true } });
  await waitFor(async () => (await alpha.show('held')).status.state === 'live', { what: 'it to be live' });
});

t.test('a wildcard is proven at the name below it, and a name below a domain at the domain', async (t) => {
  const { tenant } = await startTenants(t, testFolder(t), { dns });
  const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
  const wild = await alpha.post({ id: 'wild', hosts: ['*.wild.test'] });
  t.match(proofOf(wild), { name: '_lockstep.wild.test' });
  await dns.change(setRecord(proofOf(wild)));
  t.match(await alpha.again('wild'), { status: 200 });
  t.match(await alpha.post({ hosts: ['a.wild.test'] }), { status: 201 }, 'it serves the wildcard above');
  t.match(await alpha.post({ hosts: ['deep.down.wild.test'] }), { status: 201 }, 'the domain is proven');
  const below = await beta.post({ id: 'below', hosts: ['b.wild.test'] });
  t.match(below, waits);
  t.match(proofOf(below), { name: '_lockstep.b.wild.test' });
  await dns.change(setRecord(proofOf(below)));
  t.match(await beta.again('below'), { status: 200 }, 'one name of those of somebody’s wildcard');
  t.match((await alpha.show('wild')).status.state, 'live');
  const certificate = await makeCertificate('*.wild.test');
  t.match(
    await alpha.call('POST', '/v1/certificates', certificate),
    { status: 409, body: { code: 'host_taken' } },
    'it would be served for the name that is another’s now',
  );
});

t.test('a record is good for the tenant and the name that it was made for alone', async (t) => {
  const { tenant, operator } = await startTenants(t, testFolder(t), { dns });
  const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
  const proof = proofOf(await alpha.post({ id: 'a', hosts: ['a.parent.test'] }));
  await dns.change(setRecord(proof), setRecord({ ...proof, name: '_lockstep.b.parent.test' }));
  t.match(await beta.post({ hosts: ['a.parent.test'] }), waits);
  t.match(await alpha.post({ hosts: ['b.parent.test'] }), waits);
  t.match(await operator.post({ hosts: ['a.parent.test'], paths: ['/op'] }), waits);
  const tenantless = proofOf(await operator.call('GET', '/v1/dns-requirements?host=a.parent.test'));
  const forAlpha = proofOf(
    await operator.call('GET', '/v1/dns-requirements?host=a.parent.test&tenant=alpha'),
  );
  t.equal(forAlpha.value, proof.value);
  t.not(tenantless.value, proof.value);
  t.match(await beta.call('GET', '/v1/dns-requirements?host=a.parent.test&tenant=alpha'), { status: 403 });
});

t.test('a new host leaves those that a route serves alone, in every way that one comes', async (t) => {
  const { tenant, admin, store } = await startTenants(t, testFolder(t), { dns });
  const alpha = await tenant('alpha');
  const proof = proofOf(await alpha.post({ id: 'a', hosts: ['edit.test'] }));
  await dns.change(setRecord(proof));
  t.match(await alpha.again('a'), { status: 200 });
  // The domain's own record would prove all that is below it.
  await dns.change(dropRecord(proof));
  const hosts = async () =>
    Object.fromEntries(
      (await alpha.show('a')).status.hosts.map(({ host, state }: Record<string, string>) => [host, state]),
    );
  const waiting = 'waiting_for_ownership';
  await alpha.call('PUT', '/v1/routes/a/hosts/more.edit.test');
  t.strictSame(await hosts(), { 'edit.test': 'live', 'more.edit.test': waiting });
  await alpha.call('PATCH', '/v1/routes/a', { alsoServe: 'www' });
  t.strictSame(await hosts(), {
    'edit.test': 'live',
    'more.edit.test': waiting,
    'www.edit.test': waiting,
    'www.more.edit.test': waiting,
  });
  const { status: _, ...shown } = await alpha.show('a');
  const revision = (await alpha.call('PUT', '/v1/routes/a', shown)).body.revision;
  t.equal(revision, shown.revision, 'what is shown can be put back, and changes nothing');
  t.match(await alpha.call('POST', '/v1/routes/validate', shown), { status: 200 });
  const line = JSON.stringify({ id: 'bulk', hosts: ['bulk.edit.test'], upstreams });
  const bulk = await alpha.call('POST', '/v1/routes/bulk', line, { 'content-type': 'application/x-ndjson' });
  t.match(bulk, { status: 200, text: /"status":201/ });
  t.match(await alpha.show('bulk'), { status: { state: waiting } });
  t.match((await admin('GET', '/v1/routes?host=bulk.edit.test')).body.items, [{ id: 'bulk' }]);
  t.match((await admin('GET', `/v1/routes?state=${waiting}`)).body.items, [{ id: 'a' }, { id: 'bulk' }]);
  t.match(await alpha.post({ hosts: ['bulk.edit.test'] }), {
    status: 409,
    body: { code: 'host_taken', route: 'bulk', host: 'bulk.edit.test', path: '/' },
  });
  t.equal((await alpha.call('DELETE', '/v1/routes/bulk')).status, 204);
  t.equal(await store.get('ownership', 'bulk.edit.test/alpha'), null);
  await alpha.call('PATCH', '/v1/routes/a', { hosts: ['edit.test'], alsoServe: null });
  t.strictSame(await hosts(), { 'edit.test': 'live' });
  t.equal(await store.get('ownership', 'www.edit.test/alpha'), null);
  t.equal((await alpha.call('DELETE', '/v1/routes/a')).status, 204);
  t.match(
    await alpha.post({ hosts: ['edit.test'] }),
    { status: 201 },
    'for an hour the proof is kept, as the certificate is',
  );
});

t.test(
  'a certificate that the former tenant brought is not served for a name that was taken over',
  async (t) => {
    const { tenant, store } = await startTenants(t, testFolder(t), { dns });
    const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
    const hosts = ['www.brought.test'];
    t.match(await beta.post({ id: 'b', hosts }), waits);
    const certificate = await makeCertificate('www.brought.test');
    t.match(
      await beta.call('POST', '/v1/certificates', certificate),
      { status: 403 },
      'for no name that waits',
    );
    const asked = proofOf(await alpha.post({ id: 'a', hosts }));
    await dns.change(setRecord(asked));
    t.match(await alpha.again('a'), { status: 200 });
    const refused = await beta.call('POST', '/v1/certificates', certificate);
    t.match(refused, { status: 403 }, 'the same whether somebody has it');
    const brought = await alpha.call('POST', '/v1/certificates', certificate);
    t.match(brought, { status: 201 });
    const own = proofOf(await beta.again('b'));
    await dns.change(dropRecord(asked), setRecord(own));
    t.match(await beta.again('b'), {
      status: 200,
      body: { status: { certificates: [{ id: 'www.brought.test' }] } },
    });
    t.strictSame((await store.get('certificate', brought.body.id))?.value.names, []);
  },
);

t.test(
  'a token carries a policy of its own, which a tenant’s can neither loosen nor give away',
  async (t) => {
    const { tenant, operator, as, admin } = await startTenants(t, testFolder(t), { dns });
    const trusted = await tenant('trusted', { ownership: 'off' });
    t.match(await trusted.post({ hosts: ['a.token.test'] }), { status: 201 });
    t.match(await operator.post({ hosts: ['b.token.test'] }), waits);
    const alpha = await tenant('alpha');
    const body = { name: 'more', scopes: ['routes:*'] };
    const beyond = { status: 403, body: { code: 'forbidden', errors: [{ pointer: '/ownership' }] } };
    t.match(await alpha.call('POST', '/v1/tokens', { ...body, ownership: 'off' }), beyond);
    t.match(await alpha.call('POST', '/v1/tokens', { ...body, ownership: 'txt' }), beyond);
    t.match(await alpha.call('POST', '/v1/tokens', body), { status: 201, body: { ownership: null } });
    t.match(await trusted.call('POST', '/v1/tokens', body), { status: 201, body: { ownership: 'off' } });
    const strict = (await admin('POST', '/v1/tokens', { ...body, scopes: ['tokens:*'], ownership: 'txt' }))
      .body;
    t.match(
      await as(strict.token)('POST', '/v1/tokens', { ...body, scopes: ['tokens:*'], ownership: 'http' }),
      beyond,
    );
  },
);

t.test('a proof is seen by whichever control plane is up, and one that starts anew goes on', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  const shared = { store, sealers: createSealers(generateSecretKey()), log: pino({ level: 'silent' }) };
  const first = await startTenants(t, testFolder(t), { dns });
  await first.close();
  const dir = testFolder(t);
  const one = await startTenants(t, dir, { shared });
  await one.admin('PATCH', '/v1/settings', { ownership: 'txt', resolvers: [dns.address] });
  const alpha = await one.tenant('alpha');
  const proof = proofOf(await alpha.post({ id: 'a', hosts: ['www.two.test'] }));
  await one.close();
  const two = await startTenants(t, dir, { shared });
  await dns.change(setRecord(proof));
  const call = two.as(alpha.token);
  t.match(proofOf(await call('GET', '/v1/dns-requirements?host=www.two.test')), { value: proof.value });
  t.match(await call('PATCH', '/v1/routes/a', {}, { prefer: 'wait=60' }), { status: 200 });
});

t.test('a name that somebody has is answered like one that nobody has', async (t) => {
  await dns.change('add *.told.test. 1 A 192.0.2.7');
  const { tenant } = await startTenants(t, testFolder(t), {
    dns,
    settings: { edgeAddresses: ['192.0.2.7'] },
  });
  const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
  const [taken, free] = ['www.told.test', 'nnn.told.test'];
  const proof = proofOf(await alpha.post({ id: 'a', hosts: [taken, '*.told.test'] }));
  await dns.change(
    `add _lockstep.told.test. 1 TXT "${proofOf(await alpha.call('GET', '/v1/dns-requirements?host=told.test')).value}"`,
  );
  t.match(await alpha.again('a'), { status: 200 });
  t.ok(proof);
  const certificate = await makeCertificate(taken);
  t.match(await alpha.call('POST', '/v1/certificates', certificate), { status: 201 });
  const asks: ((host: string) => [string, string, object?])[] = [
    (host) => ['GET', `/v1/dns-requirements?host=${host}`],
    (host) => ['POST', '/v1/routes/validate', { hosts: [host], upstreams }],
    (host) => ['PUT', `/v1/routes/of-${host}`, { hosts: [host], upstreams }],
    (host) => ['POST', `/v1/routes/of-${host}/check`],
    (host) => ['GET', `/v1/routes/of-${host}`],
    (host) => ['GET', `/v1/routes/of-${host}/instructions`],
    (host) => ['GET', `/v1/routes?host=${host}`],
    (host) => ['GET', `/v1/certificates/${host}`],
    (host) => ['POST', `/v1/certificates/${host}/renew`],
    (host) => ['GET', `/v1/events?host=${host}&limit=100&type=certificate.*`],
    (host) => ['DELETE', `/v1/routes/of-${host}`],
  ];
  for (const ask of asks) {
    const [about, nothing] = await Promise.all(
      [taken, free].map(async (host) => {
        const [method, path, body] = ask(host);
        const accept = path.endsWith('/instructions') ? 'text/plain' : 'application/json';
        return beta.call(method, path, body, { prefer: 'wait=60', accept });
      }),
    );
    const bare = ({ status, text }: { status: number; text: string }, host: string) =>
      `${status} ${text}`
        .replaceAll(host, 'HOST')
        .replaceAll(host.slice(0, 3), 'LABEL')
        .replace(/"(revision|createdAt|updatedAt|instance|last)":[^,}]*/g, '')
        .replace(/lockstep-[\w-]{32}/g, 'VALUE');
    t.equal(bare(about!, taken), bare(nothing!, free), ask('…').slice(0, 2).join(' '));
  }
  const theirs = await beta.call('POST', '/v1/certificates', await makeCertificate(taken));
  const nobodys = await beta.call('POST', '/v1/certificates', await makeCertificate(free));
  t.match([theirs.status, nobodys.status], [403, 403]);
});

t.test('of two whose proofs are both there, one has the name, whichever control plane looks', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  const shared = { store, sealers: createSealers(generateSecretKey()), log: pino({ level: 'silent' }) };
  const one = await startTenants(t, testFolder(t), { shared });
  const two = await startTenants(t, testFolder(t), { shared });
  await one.admin('PATCH', '/v1/settings', { ownership: 'txt', resolvers: [dns.address] });
  const [alpha, beta] = [await one.tenant('alpha'), await two.tenant('beta')];
  const hosts = Array.from({ length: 8 }, (_, index) => `h${index}.both.test`);
  for (const { call } of [alpha, beta]) {
    const { value } = proofOf(await call('GET', '/v1/dns-requirements?host=both.test'));
    await dns.change(`add _lockstep.both.test. 1 TXT "${value}"`);
  }
  const made = await Promise.all(
    hosts.flatMap((host) =>
      [alpha, beta].map(async ({ post }, index) => {
        const { body } = await post({ hosts: [host], paths: [`/${index}`] });
        return { host, state: body.status.state as string };
      }),
    ),
  );
  for (const host of hosts) {
    const states = made.filter((route) => route.host === host).map(({ state }) => state);
    t.strictSame(states.sort(), ['live', 'waiting_for_ownership'], host);
    t.equal((await store.findClaims(`${host} `, 10)).length, 1, host);
  }
});

t.test('a DNS that does not answer is no proof, and no loss', async (t) => {
  const { tenant, admin } = await startTenants(t, testFolder(t), { dns, settings: { ownership: 'off' } });
  const [alpha, beta] = [await tenant('alpha'), await tenant('beta')];
  const hosts = ['www.broken.test'];
  t.match(await alpha.post({ id: 'a', hosts }), { status: 201 });
  await admin('PATCH', '/v1/settings', { ownership: 'txt' });
  t.match(await beta.post({ id: 'b', hosts }), {
    ...waits,
    body: {
      status: {
        reason: /not proven: looking up TXT of _lockstep\.www\.broken\.test at .*SERVFAIL/,
        dnsRequirements: [{ purpose: 'ownership', found: null, ok: false }],
      },
    },
  });
  t.match((await alpha.show('a')).status.state, 'live');
});

t.test('an IP address has nothing to prove it by, and is the operator’s to share out', async (t) => {
  const { operator } = await startTenants(t, testFolder(t), { dns });
  const hosts = ['192.0.2.9'];
  t.match(await operator.post({ hosts, tenant: 'alpha' }), { status: 201 });
  t.match(await operator.post({ hosts, tenant: 'beta', paths: ['/beta'] }), { status: 201 });
  const asked = await operator.call('GET', '/v1/dns-requirements?host=192.0.2.9');
  t.match(asked, { status: 200 });
  t.equal(proofOf(asked), undefined);
});
