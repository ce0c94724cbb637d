import { AppError, idleOrder, ownershipSecretId, recordKey, sealedKinds } from '@lockstep/contract';
import { createSealers, generateSecretKey, keyIdOf } from '@lockstep/pki';
import { type Change, createSqliteStore } from '@lockstep/store';
import { readSealed, testFolder, waitFor } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import { commit } from '../../src/changes/writes.ts';
import { openFleetKeys, putCanaries } from '../../src/keys/fleet-keys.ts';
import { makeCertificate } from '../brought-certificate.ts';
import { startControlPlane } from '../start-control-plane.ts';

const by = { kind: 'system' } as const;
const [oldKey, newKey] = [generateSecretKey(), generateSecretKey()];
const [old, both, alone] = [oldKey, `${newKey},${oldKey}`, newKey].map(createSealers) as [
  ReturnType<typeof createSealers>,
  ReturnType<typeof createSealers>,
  ReturnType<typeof createSealers>,
];

/** A store with everything that is sealed, by the old key. */
async function filledStore(t: Test) {
  const dataDir = testFolder(t);
  const store = createSqliteStore({ path: ':memory:' });
  const start = (keys: string, folder = dataDir) =>
    startControlPlane(t, folder, {}, { store, sealers: createSealers(keys) });
  const first = await start(oldKey);
  const fallSilent = first.acknowledge('edge-1');
  const basicAuth = {
    realm: 'Shop',
    users: [{ name: 'ann', passwordHash: '$2y$05$abcdefghijklmnopqrstuuT7L5UXcXSYlwGSx1QWhvSwbWPvwvSY6' }],
  };
  const body = { hosts: ['shop.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }], basicAuth };
  const put = await first.call('PUT', '/v1/routes/shop', { body, headers: { prefer: 'wait=20' } });
  t.equal(put.body.status.state, 'live');
  t.equal(
    (
      await first.call('POST', '/v1/certificates', {
        body: await makeCertificate('own.example.com'),
        headers: { 'idempotency-key': 'own' },
      })
    ).status,
    201,
  );
  const dnsProvider = { type: 'cloudflare', token: 'a-token-of-cloudflare' };
  const directory = 'https://ca.example.net/directory';
  t.equal((await first.call('PUT', '/v1/issuers/one', { body: { directory, dnsProvider } })).status, 201);
  t.equal((await first.call('PUT', '/v1/settings', { body: { dnsProvider } })).status, 200);
  const webhook = { url: 'https://hooks.example.net/', types: ['limit.near'] };
  t.equal((await first.call('POST', '/v1/webhooks', { body: webhook })).status, 201);
  await commit(store, {
    by,
    changes: [
      {
        op: 'put',
        kind: 'account',
        id: 'one',
        value: { directory, accountUrl: null, sealedKey: old.controlPlanes.seal('key', 'account/one') },
      },
      {
        op: 'put',
        kind: 'challenge',
        id: 'token',
        value: {
          type: 'tls-alpn-01',
          host: 'shop.example.com',
          token: 'token',
          keyAuthorization: 'token.x',
          certificate: 'chain',
          sealedKey: old.edges.seal('key', 'challenge/token'),
          createdAt: new Date().toISOString(),
        },
      },
      {
        op: 'put',
        kind: 'order',
        id: 'waits.example.com',
        value: {
          ...idleOrder('waits.example.com', new Date().toISOString(), null),
          sealedKey: old.controlPlanes.seal('key', 'order/waits.example.com'),
        },
      },
      {
        op: 'put',
        kind: 'ownership-secret',
        id: ownershipSecretId,
        value: { sealedSecret: old.controlPlanes.seal('c2VjcmV0', `ownership-secret/${ownershipSecretId}`) },
      },
      {
        op: 'put',
        kind: 'caddy-route',
        id: 'shop',
        value: {
          caddyId: 'shop',
          server: 'srv0',
          position: 1,
          sealedBody: old.controlPlanes.seal('{}', 'caddy-route/shop'),
          routeDigest: '',
        },
      },
    ],
  });
  return { store, start, first, fallSilent, dataDir };
}

function keysIn(sealed: Awaited<ReturnType<typeof readSealed>>) {
  return new Set(sealed.map((one) => keyIdOf(one.sealed)));
}

t.test(
  'everything sealed, of every kind, is sealed with the new keys, and opens with them alone',
  async (t) => {
    const { store, start, first } = await filledStore(t);
    const before = await readSealed(store);
    const claims = await store.findClaims('', 10);
    const due = await store.nextDue('certificate');
    t.same(
      new Set(before.map(({ kind }) => kind)),
      new Set(['canary', 'edge-canary', ...sealedKinds]),
      'none is left out here',
    );
    t.same(keysIn(before), new Set([old.controlPlanes.keyId, old.edges.keyId]));
    await first.close();

    const { call, report, close } = await start(`${newKey}\n${oldKey}\n`);
    t.match((await call('GET', '/v1/fleet')).body.keys, {
      secret: { current: old.controlPlanes.keyId, older: [] },
    });
    await report('edge-1', { keys: [...both.edges.keyIds] });
    const journal = (await store.readJournal({ limit: 100 })).items.length;
    const begunAt = await store.head();
    const begun = await call('POST', '/v1/keys/rotate');
    t.match(begun, {
      status: 202,
      body: {
        secret: { current: alone.controlPlanes.keyId, older: [{ id: old.controlPlanes.keyId }] },
        edge: { current: alone.edges.keyId, older: [{ id: old.edges.keyId }] },
      },
    });
    t.equal((await call('POST', '/v1/keys/rotate')).status, 202, 'asked again, it goes on');
    await waitFor(async () => (await call('GET', '/v1/fleet')).body.keys.secret.older.length === 0, {
      what: 'all to be sealed anew',
    });
    const after = await readSealed(store);
    t.same(keysIn(after), new Set([alone.controlPlanes.keyId, alone.edges.keyId]));
    t.same(
      after.map(({ kind, id }) => recordKey(kind, id)),
      before.map(({ kind, id }) => recordKey(kind, id)),
    );
    for (const { sealed, context } of after) {
      const { controlPlanes, edges } = alone;
      t.ok((sealed.startsWith('v1.edges.') ? edges : controlPlanes).open(sealed, context), context);
    }
    t.equal(
      (await store.readJournal({ limit: 100 })).items.length,
      journal + 2,
      'the journal has its begin and its end, and no record that says the same as before',
    );
    t.same(await store.findClaims('', 10), claims, 'a record claims what it did');
    t.equal(await store.nextDue('certificate'), due, 'and is due when it was');
    t.equal(await store.readLog(begunAt, 1), null, 'the log keeps nothing that the old keys open');
    t.match(await call('POST', '/v1/keys/rotate'), {
      status: 409,
      body: { code: 'wrong_state', detail: /lockstep keygen/ },
    });
    await close();

    await t.rejects(
      start(oldKey),
      { code: 'wrong_secret_key', message: /is not the key/ },
      'the old key alone',
    );
    const last = await start(newKey);
    t.equal((await last.call('GET', '/v1/issuers/one')).status, 200);
    const body = { hosts: ['new.example.com'], upstreams: [{ url: 'http://127.0.0.1:3000' }] };
    last.acknowledge('edge-1');
    const put = await last.call('PUT', '/v1/routes/new', { body, headers: { prefer: 'wait=20' } });
    t.equal(put.body.status.state, 'live', 'the CA’s key serves on');
  },
);

t.test('who lacks the new key is named, and nothing is changed before all have it', async (t) => {
  const { store, start, first } = await filledStore(t);
  const second = await start(`${newKey},${oldKey}`, testFolder(t, {}));
  const refused = await second.call('POST', '/v1/keys/rotate');
  t.match(refused, { status: 409, body: { code: 'wrong_state' } });
  t.match(
    refused.body.detail,
    new RegExp(`${alone.controlPlanes.keyId}.*edge edge-1.*${alone.edges.keyId}.*control plane on`),
  );
  await first.close();
  t.match((await second.call('POST', '/v1/keys/rotate')).body.detail, /edge edge-1(?!.*control plane on)/);
  t.match(await first.store.get('rotation', 'rotation'), null);
  t.same(keysIn(await readSealed(store)), new Set([old.controlPlanes.keyId, old.edges.keyId]));
});

t.test(
  'an edge whose saved configuration is sealed with the old key still holds a rotation up',
  async (t) => {
    const { start, first, fallSilent } = await filledStore(t);
    fallSilent();
    await first.close();
    const { call, report } = await start(`${newKey},${oldKey}`, testFolder(t, {}));
    await report('edge-1', { keys: [...both.edges.keyIds].reverse() });
    const refused = await call('POST', '/v1/keys/rotate');
    t.match(refused, { status: 409, body: { code: 'wrong_state' } });
    t.match(refused.body.detail, new RegExp(`edge edge-1.*${alone.edges.keyId}.*first`));
    await report('edge-1', { keys: [...both.edges.keyIds] });
    t.equal((await call('POST', '/v1/keys/rotate')).status, 202);
  },
);

t.test('a rotation goes on after the store was away when it was heard of', async (t) => {
  const { store, start, first } = await filledStore(t);
  await first.close();
  const away = { now: false };
  const flaky = Object.create(store, {
    get: {
      value: async (...args: Parameters<typeof store.get>) => {
        if (away.now && args[0] === 'canary') throw new AppError('store_unavailable', 'away');
        return store.get(...args);
      },
    },
  });
  const { call } = await startControlPlane(
    t,
    testFolder(t, {}),
    {},
    { store: flaky, sealers: createSealers(`${newKey},${oldKey}`) },
  );
  const other = await start(`${newKey},${oldKey}`);
  await other.report('edge-1', { keys: [...both.edges.keyIds] });
  away.now = true;
  t.equal((await other.call('POST', '/v1/keys/rotate')).status, 202);
  await waitFor(async () => (await other.call('GET', '/v1/fleet')).body.keys.secret.older.length === 0, {
    what: 'all to be sealed anew',
  });
  t.equal((await call('GET', '/v1/fleet')).body.keys.secret.current, old.controlPlanes.keyId);
  away.now = false;
  await waitFor(
    async () => (await call('GET', '/v1/fleet')).body.keys.secret.current === alone.controlPlanes.keyId,
    { what: 'the control plane that could not read it to know' },
  );
});

t.test(
  'a rotation that begins before the one before it has ended takes over what that left, and may go back',
  async (t) => {
    const { store, start, first } = await filledStore(t);
    await first.close();
    const older = [{ control: old.controlPlanes.keyId, edge: old.edges.keyId }];
    const changes: Change[] = [
      ...putCanaries(alone),
      { op: 'put', kind: 'rotation', id: 'rotation', value: { startedAt: '', older, left: null } },
    ];
    await commit(store, { by, changes });
    const third = generateSecretKey();
    for (const ring of [
      [third, newKey, oldKey],
      [oldKey, third],
    ]) {
      const keys = ring.join(',');
      const controlPlane = await start(keys);
      await controlPlane.report('edge-1', { keys: [...createSealers(keys).edges.keyIds] });
      t.equal((await controlPlane.call('POST', '/v1/keys/rotate')).status, 202);
      await waitFor(
        async () => (await controlPlane.call('GET', '/v1/fleet')).body.keys.secret.older.length === 0,
        { what: 'all to be sealed anew' },
      );
      const { controlPlanes, edges } = createSealers(ring[0]!);
      t.same(keysIn(await readSealed(store)), new Set([controlPlanes.keyId, edges.keyId]));
      await controlPlane.close();
    }
  },
);

t.test('while something is left, a control plane without the older key is refused by its id', async (t) => {
  const { store, start, first } = await filledStore(t);
  await first.close();
  const keys = await openFleetKeys(store, createSealers(`${newKey},${oldKey}`));
  const older = [{ control: old.controlPlanes.keyId, edge: old.edges.keyId }];
  const canary = (await store.get('canary', 'canary'))!;
  await commit(store, {
    by,
    changes: [
      {
        op: 'put',
        kind: 'canary',
        id: 'canary',
        value: { sealed: alone.controlPlanes.seal('lockstep', 'canary') },
      },
      { op: 'put', kind: 'rotation', id: 'rotation', value: { startedAt: '', older, left: null } },
    ],
  });
  t.ok(canary);
  await t.rejects(start(newKey), {
    code: 'wrong_secret_key',
    message: new RegExp(`still sealed with the key ${old.controlPlanes.keyId}`),
  });

  // One that has not heard of the rotation yet.
  const sealedKey = old.controlPlanes.seal('a key', 'account/two');
  const value = { directory: 'https://ca.example.net/', accountUrl: null, sealedKey };
  await commit(keys.store, { by, changes: [{ op: 'put', kind: 'account', id: 'two', value }] });
  const written = (await store.get('account', 'two'))!.value.sealedKey;
  t.equal(
    alone.controlPlanes.open(written, 'account/two'),
    'a key',
    'and seals with the new key all the same',
  );
});
