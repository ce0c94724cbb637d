import { createSealer, generateSecretKey } from '@lockstep/pki';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { createKnownIssuers } from '../../src/issuers/known-issuers.ts';
import { createSettingsService } from '../../src/settings/settings-service.ts';
import { createSettingsSource } from '../../src/settings/settings-source.ts';
import { byAdmin } from '../by-admin.ts';

const log = pino({ level: 'silent' });

t.test('has the secrets opened, from the start and after each change', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  const sealer = createSealer(generateSecretKey());
  const hub = await createChangeHub({ store, log });
  const known = createKnownIssuers({ store, acme: null, rootsPem: null });
  const service = createSettingsService({ store, sealer, known });
  const first = await createSettingsSource({ store, sealer, hub, log });
  t.teardown(async () => {
    first.close();
    await hub.close();
    await store.close();
  });
  t.match(first.current(), { edgeAddresses: [], onDemand: null }, 'defaults before the first PUT');

  await service.patch(byAdmin, { dnsProvider: { type: 'cloudflare', token: 'a-token' } });
  await waitFor(() => first.current().dnsProvider !== undefined, { what: 'the change' });
  t.match(first.current().dnsProvider, { type: 'cloudflare', token: 'a-token' });
  const second = await createSettingsSource({ store, sealer, hub, log });
  t.match(second.current().dnsProvider, { token: 'a-token' }, 'a source that starts later');
  second.close();

  await service.patch(byAdmin, { dnsProvider: null, edgeAddresses: ['203.0.113.7'] });
  await waitFor(() => first.current().edgeAddresses.length === 1, { what: 'the next change' });
  t.equal(first.current().dnsProvider, undefined);
});

t.test('does not start with settings that were sealed with another key', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  const hub = await createChangeHub({ store, log });
  t.teardown(async () => {
    await hub.close();
    await store.close();
  });
  const known = createKnownIssuers({ store, acme: null, rootsPem: null });
  const service = createSettingsService({ store, sealer: createSealer(generateSecretKey()), known });
  await service.patch(byAdmin, { dnsProvider: { type: 'cloudflare', token: 'a-token' } });
  const other = createSealer(generateSecretKey());
  await t.rejects(createSettingsSource({ store, sealer: other, hub, log }), { code: 'wrong_secret_key' });
});

t.test('knows a change at once when asked to look, although nobody has told of it', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  t.teardown(() => store.close());
  const sealer = createSealer(generateSecretKey());
  const known = createKnownIssuers({ store, acme: null, rootsPem: null });
  const deaf = { watch: () => () => {}, close: async () => {} };
  const source = await createSettingsSource({ store, sealer, hub: deaf, log });
  t.teardown(() => source.close());
  await createSettingsService({ store, sealer, known }).patch(byAdmin, { edgeAddresses: ['203.0.113.7'] });
  t.strictSame(source.current().edgeAddresses, []);
  await source.refresh();
  t.strictSame(source.current().edgeAddresses, ['203.0.113.7']);
});

t.test('bounds the journal as the settings say, from the start and after each change', async (t) => {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  const sealer = createSealer(generateSecretKey());
  const hub = await createChangeHub({ store, log });
  const service = createSettingsService({
    store,
    sealer,
    known: createKnownIssuers({ store, acme: null, rootsPem: null }),
  });
  const source = await createSettingsSource({ store, sealer, hub, log });
  t.teardown(async () => {
    source.close();
    await hub.close();
    await store.close();
  });
  for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.3'])
    await service.patch(byAdmin, { edgeAddresses: [address] });
  t.equal((await store.readJournal({ limit: 10 })).items.length, 3);
  await service.patch(byAdmin, { journal: { keepFor: '30d', entries: 2 } });
  await waitFor(() => source.current().journal.entries === 2, { what: 'the change' });
  t.match((await store.readJournal({ limit: 10 })).items, [
    { after: { config: { journal: { keepFor: 2_592_000, entries: 2 } } } },
    { before: { config: { edgeAddresses: ['203.0.113.2'] } }, by: byAdmin.by, requestId: byAdmin.requestId },
  ]);
});
