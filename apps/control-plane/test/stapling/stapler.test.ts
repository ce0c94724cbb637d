import { randomUUID } from 'node:crypto';
import { broughtIssuer, type CertificateRecord } from '@lockstep/contract';
import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { type ConfigStore, createRedisStore, createSqliteStore } from '@lockstep/store';
import { createClock, startRedis, startUpstream, waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createChangeHub } from '../../src/changes/change-hub.ts';
import { stapleChanges } from '../../src/stapling/staple-changes.ts';
import { refreshAt, retryMs } from '../../src/stapling/staple-times.ts';
import { createStapler, type FetchStaple } from '../../src/stapling/stapler.ts';

const log = pino({ level: 'silent' });
const hour = 3_600_000;
const week = 168 * hour;

// A responder that answers in JSON: what is tried here is when it is asked and what comes of it. The tests of packages/pki ask
// real ones, in DER.
const fetchStaple: FetchStaple = async ({ url, signal = null }) => {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`the responder answered ${response.status}`);
  const answer = (await response.json()) as { thisUpdate: number; nextUpdate: number; status: 'good' };
  return { ...answer, response: Buffer.from(answer.status) };
};

async function startResponder(t: Test, answer: (path: string) => object | null) {
  const asked: string[] = [];
  const server = await startUpstream(({ url = '' }, response) => {
    asked.push(url);
    const body = answer(url);
    if (body === null) response.statusCode = 503;
    response.end(JSON.stringify(body));
  });
  t.teardown(() => server.close());
  return { url: server.url, asked };
}

async function openStore(t: Test) {
  const clock = createClock();
  const store = createSqliteStore({ path: ':memory:', now: clock.now });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  return { clock, store };
}

async function startStapler(
  t: Test,
  store: ConfigStore,
  now: () => number,
  onRevoked: (id: string, cause: number) => Promise<void> = async () => {},
) {
  const hub = await createChangeHub({ store, log });
  const stapler = createStapler({ store, hub, log, fetchStaple, onRevoked, now });
  t.teardown(async () => {
    await stapler.close();
    await hub.close();
  });
  return stapler;
}

const certificate: CertificateRecord = {
  host: 'shop.example.com',
  issuer: 'ca',
  chain: 'a chain',
  sealedKey: '',
  serialNumber: '01',
  fingerprint256: 'AA:BB',
  notBefore: '2026-11-01T00:00:00.000Z',
  notAfter: '2027-01-30T00:00:00.000Z',
  issuedAt: '2026-11-01T00:00:00.000Z',
};

async function putCertificate(
  store: ConfigStore,
  id: string,
  url: string,
  dueAt: number,
  changes: Partial<CertificateRecord> = {},
): Promise<void> {
  const value = { ...certificate, host: id, ...changes };
  const staple = {
    fingerprint256: 'AA:BB',
    url,
    response: null,
    nextUpdate: null,
    failures: 0,
    lastError: null,
    dueAt: new Date(dueAt).toISOString(),
  };
  await store.commit({
    id: randomUUID(),
    changes: [
      { op: 'put', kind: 'certificate', id, value },
      { op: 'put', kind: 'staple', id, value: staple, dueAt },
    ],
  });
}

/** The clock of these tests stands still, and so its timers: any change of a certificate makes a stapler look. */
async function rouse(store: ConfigStore): Promise<void> {
  const change = { op: 'put', kind: 'certificate', id: 'rouse', value: certificate } as const;
  await store.commit({ id: randomUUID(), changes: [change] });
}

const stapleWhere = (store: ConfigStore, id: string, what: string, test: (value: never) => boolean) =>
  waitFor(
    async () => {
      const record = await store.get('staple', id);
      return record !== null && test(record.value as never) ? record.value : null;
    },
    { what },
  );

t.test('a response is refreshed at half of its life, and kept while the responder fails', async (t) => {
  const { clock, store } = await openStore(t);
  let up = true;
  const { url, asked } = await startResponder(t, () =>
    up ? { status: 'good', thisUpdate: clock.now() - hour, nextUpdate: clock.now() + week - hour } : null,
  );
  await startStapler(t, store, clock.now);
  await putCertificate(store, 'shop.example.com', url, clock.now());
  const first = await stapleWhere(
    store,
    'shop.example.com',
    'the first response',
    ({ response }) => response !== null,
  );
  t.equal(first.response, Buffer.from('good').toString('base64'));
  t.equal(first.nextUpdate, new Date(clock.now() + week - hour).toISOString());
  const waits = Date.parse(first.dueAt) - clock.now() + hour;
  t.ok(waits >= 0.45 * week && waits <= 0.55 * week, `due after ${waits / week} of its life`);

  await rouse(store);
  up = false;
  clock.advance(week * 0.55);
  const nominal = [60_000, 120_000, 240_000, 480_000];
  for (const [index, wait] of nominal.entries()) {
    await rouse(store);
    const kept = await stapleWhere(
      store,
      'shop.example.com',
      `failure ${index + 1}`,
      ({ failures }) => failures === index + 1,
    );
    t.equal(kept.response, first.response);
    t.equal(kept.lastError, 'the responder answered 503');
    const waitMs = Date.parse(kept.dueAt) - clock.now();
    t.ok(waitMs >= wait * 0.8 && waitMs <= wait * 1.2, `waits ${waitMs} ms`);
    clock.advance(waitMs);
  }
  up = true;
  await rouse(store);
  const well = await stapleWhere(
    store,
    'shop.example.com',
    'a response again',
    ({ failures }) => failures === 0,
  );
  t.equal(well.lastError, null);
  t.equal(asked.length, 6, 'and never asked before its time');
});

t.test('several control planes fetch each response once', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.close());
  const prefix = `test-${randomUUID()}`;
  const { url, asked } = await startResponder(t, () => ({
    status: 'good',
    thisUpdate: Date.now(),
    nextUpdate: Date.now() + week,
  }));
  const stores = [];
  for (let index = 0; index < 3; index += 1) {
    const store = createRedisStore({ url: redis.url, prefix });
    t.teardown(() => store.close());
    await store.open({ create: index === 0, expectedEpoch: null });
    stores.push(store);
  }
  const ids = Array.from({ length: 30 }, (_, index) => `shop-${index}.example.com`);
  for (const id of ids) await putCertificate(stores[0]!, id, `${url}/${id}`, Date.now());
  for (const store of stores) await startStapler(t, store, Date.now);
  for (const id of ids)
    await stapleWhere(stores[0]!, id, `the response for ${id}`, ({ response }) => response !== null);
  t.strictSame(asked.toSorted(), ids.map((id) => `/${id}`).toSorted());
});

t.test('a revoked certificate is told once it is found, a brought one only noted', async (t) => {
  const { clock, store } = await openStore(t);
  const { url } = await startResponder(t, () => ({
    status: 'revoked',
    thisUpdate: clock.now(),
    nextUpdate: clock.now() + week,
  }));
  const told: unknown[] = [];
  await startStapler(t, store, clock.now, async (id, cause) => {
    told.push([id, cause]);
    throw new Error('the store does not answer');
  });
  const ids = ['managed.example.com', 'brought.example.com'];
  await putCertificate(store, 'brought.example.com', url, clock.now(), { issuer: broughtIssuer });
  await putCertificate(store, 'managed.example.com', url, clock.now());
  const { number: cause } = await store.head();
  for (const id of ids) {
    const staple = await stapleWhere(store, id, `the word on ${id}`, ({ failures }) => failures === 1);
    t.equal(staple.lastError, 'the responder says that the certificate is revoked');
    t.equal(staple.response, null, 'which is not stapled');
  }
  t.strictSame(told, [['managed.example.com', cause]]);
});

t.test('certificates of a dead responder do not hold up those of a live one', async (t) => {
  const { clock, store } = await openStore(t);
  const dead = await startResponder(t, () => null);
  const live = await startResponder(t, () => ({
    status: 'good',
    thisUpdate: clock.now(),
    nextUpdate: clock.now() + week,
  }));
  for (let index = 0; index < 100; index += 1)
    await putCertificate(store, `dead-${index}.example.com`, dead.url, clock.now());
  await putCertificate(store, 'live.example.com', live.url, clock.now() + 1);
  clock.advance(1);
  const stapler = await startStapler(t, store, clock.now);
  await stapleWhere(store, 'live.example.com', 'the live one', ({ response }) => response !== null);
  t.ok(dead.asked.length <= 11, `it was asked ${dead.asked.length} times`);
  t.equal(stapler.counts.failed + stapler.counts.postponed, 100);
});

t.test('a record of a certificate that is gone, or another now, goes', async (t) => {
  const { clock, store } = await openStore(t);
  const { url, asked } = await startResponder(t, () => null);
  await putCertificate(store, 'other.example.com', url, clock.now(), { fingerprint256: 'CC:DD' });
  await putCertificate(store, 'gone.example.com', url, clock.now());
  await store.commit({
    id: randomUUID(),
    changes: [{ op: 'delete', kind: 'certificate', id: 'gone.example.com' }],
  });
  await startStapler(t, store, clock.now);
  await waitFor(async () => (await store.count('staple')) === 0, { what: 'both to go' });
  t.equal(asked.length, 0);
});

t.test(
  'a certificate that names a responder is due at once, and any other loses its old response',
  async (t) => {
    const now = Date.now();
    const authority = await createAuthority({ now });
    const keyPem = await generateKeyPem();
    const host = 'shop.example.com';
    const chain = await issueCertificate({ authority, host, keyPem, lifetimeMs: week, now });
    t.strictSame(
      stapleChanges(host, chain, now, () => null),
      [{ op: 'delete', kind: 'staple', id: host }],
    );
    const [change] = stapleChanges(host, chain, now, () => 'http://ocsp.example/');
    t.match(change, {
      op: 'put',
      kind: 'staple',
      id: host,
      dueAt: now,
      value: {
        url: 'http://ocsp.example/',
        response: null,
        fingerprint256: /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/,
      },
    });
  },
);

t.test('waits are bounded, whatever dates a responder gives', async (t) => {
  const now = Date.now();
  t.equal(refreshAt({ thisUpdate: now - week, nextUpdate: now + 1 }, now), now + 60_000);
  t.equal(
    refreshAt({ thisUpdate: 0, nextUpdate: 100 }, -1e9, () => 0.5),
    50,
  );
  t.equal(
    retryMs(1, () => 0.5),
    60_000,
  );
  t.equal(
    retryMs(10, () => 0.5),
    6 * hour,
  );
  t.equal(
    retryMs(10_000, () => 0.999),
    6 * hour,
  );
});
