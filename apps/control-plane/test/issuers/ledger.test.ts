import { randomUUID } from 'node:crypto';
import type { Limits } from '@lockstep/contract';
import { type ConfigStore, createRedisStore, createSqliteStore } from '@lockstep/store';
import { createClock, startRedis } from '@lockstep/testkit';
import t, { type Test } from 'tap';
import {
  isRefusal,
  type Ledger,
  type LedgerEntry,
  type LedgerRefusal,
} from '../../src/issuers/ledger/ledger.ts';
import { defaultLimits, letsEncryptLimits } from '../../src/issuers/ledger/lets-encrypt-limits.ts';
import { pauseKey } from '../../src/issuers/ledger/pause-key.ts';
import { createLedger } from '../../src/issuers/ledger/token-ledger.ts';

const minute = 60_000;
const hour = 60 * minute;

async function openLedger(t: Test, limits: Limits | null = letsEncryptLimits, waitingShare = 0) {
  const clock = createClock();
  const store = createSqliteStore({ path: ':memory:', now: clock.now });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const ledger = createLedger({ store, waitingShare: () => waitingShare, now: clock.now });
  const commit = async (entry: LedgerEntry) => {
    if (entry.changes.length > 0) await store.commit({ id: randomUUID(), ...entry });
  };
  return {
    clock,
    store,
    ledger,
    limits,
    /** Null when it passed. */
    async order(
      host: string,
      exempt: boolean | 'renewal' = false,
      bulk = false,
    ): Promise<LedgerRefusal | null> {
      const outcome = await ledger.spendOrder('le', limits, host, exempt, bulk);
      if (isRefusal(outcome)) return outcome;
      await commit(outcome);
      return null;
    },
    fail: async (host: string, exempt = false) =>
      commit(await ledger.failAuthorization('le', limits, host, exempt)),
    giveBack: async (host: string) => commit(await ledger.giveBack('le', limits, host)),
    succeed: async (host: string) => commit(await ledger.succeed('le', limits, host)),
    pause: async (until: number, key?: string) => commit(await ledger.pause('le', until, key)),
  };
}

t.test(
  'a share of the limits is kept for hosts whose caller waits, and their turns come before all others',
  async (t) => {
    const limits: Limits = { newOrders: { count: 10, refillSeconds: 60 } };
    const { order, clock } = await openLedger(t, limits, 30);
    const bulk = (index: number) => order(`bulk-${index}.example.com`, false, true);
    for (let index = 0; index < 7; index += 1) t.equal(await bulk(index), null);
    const refusal = await bulk(7);
    t.match(refusal, { detail: /used up, but for the 3 that are kept for hosts whose caller waits/ });
    t.equal(refusal?.until, clock.now() + minute, 'with the first token beside those');
    for (let index = 8; index < 30; index += 1) await bulk(index);
    for (let index = 0; index < 3; index += 1) t.equal(await order(`waits-${index}.example.com`), null);
    t.equal(
      (await order('waits-3.example.com'))?.until,
      clock.now() + minute,
      'not after the turns of all others',
    );
    clock.advance(4 * minute);
    t.equal(await bulk(30), null, 'one beside the three');
    t.not(await bulk(31), null);
  },
);

t.test('control planes together send no more orders than the limit', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.close());
  const prefix = `test-${randomUUID()}`;
  const limits: Limits = { newOrders: { count: 60, refillSeconds: 3_600 } };
  const planes: { store: ConfigStore; ledger: Ledger }[] = [];
  for (let index = 0; index < 3; index += 1) {
    const store = createRedisStore({ url: redis.url, prefix });
    t.teardown(() => store.close());
    await store.open({ create: index === 0, expectedEpoch: null });
    planes.push({ store, ledger: createLedger({ store }) });
  }
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, index) => {
      const { ledger } = planes[index % 3]!;
      return ledger.spend('le', async () => {
        const entry = await ledger.spendOrder('le', limits, `shop-${index}.example.com`, false);
        return isRefusal(entry) ? entry : { by: { kind: 'coordinator' }, ...entry };
      });
    }),
  );
  t.equal(outcomes.filter((outcome) => !isRefusal(outcome)).length, 60);
  t.equal((await planes[0]!.store.head()).number, 60, 'each in a commit of its own');
});

t.test('a conflict over anything but a bucket is the caller’s', async (t) => {
  const { store, ledger } = await openLedger(t);
  let built = 0;
  const spent = ledger.spend('le', async () => {
    built += 1;
    const check = { kind: 'order', id: 'a.example.com', revision: 7 } as const;
    return { by: { kind: 'coordinator' }, checks: [check], changes: [] };
  });
  await t.rejects(spent, { code: 'revision_conflict', facts: { kind: 'order' } });
  t.equal(built, 1);
  t.equal((await store.head()).number, 0);
});

t.test('an order waits for the limit that binds longest, and passes when it is told to come', async (t) => {
  const { clock, order } = await openLedger(t);
  const start = clock.now();
  for (let index = 0; index < 5; index += 1) t.equal(await order('shop.example.com'), null);
  const refusal = await order('shop.example.com');
  t.match(refusal, { until: start + 33.6 * hour });
  t.match(
    refusal?.detail,
    /^issuer le: the limit of 5 certificates for the same name, shop\.example\.com,? is/,
  );
  clock.advance(33.6 * hour - 1_000);
  t.ok(await order('shop.example.com'), 'a second before');
  clock.advance(1_000);
  t.equal(await order('shop.example.com'), null);
});

t.test('certificates are counted by registered domain, as the public suffix list has it', async (t) => {
  const { order } = await openLedger(t, { certificatesPerDomain: { count: 1, refillSeconds: 3_600 } });
  t.equal(await order('a.example.co.uk'), null);
  t.match((await order('b.example.co.uk'))?.detail, /limit of 1 certificates for example\.co\.uk is used up/);
  t.match(await order('*.example.co.uk'), { detail: /example\.co\.uk/ });
  t.equal(await order('other.co.uk'), null);
  t.equal(await order('a.github.io'), null, 'the private section counts');
  t.equal(await order('b.github.io'), null);
});

t.test('those who found the account’s limit used up come again one after another', async (t) => {
  const { clock, order } = await openLedger(t, { newOrders: { count: 1, refillSeconds: 36 } });
  const start = clock.now();
  await order('first.example.com');
  const turns = [];
  for (let index = 0; index < 120; index += 1) turns.push((await order(`shop-${index}.example.com`))!.until);
  t.equal(turns[0], start + 36_000);
  t.equal(turns[1], start + 72_000);
  t.equal(Math.max(...turns), start + 101 * 36_000, 'nobody is sent away for longer than a hundred turns');
  t.equal(turns.filter((turn) => turn === start + 36_000).length, 2);
});

t.test('failed authorizations hold a name back, and a success ends the failures in a row', async (t) => {
  const { clock, store, order, fail, succeed } = await openLedger(t, {
    failedAuthorizations: { count: 2, refillSeconds: 720 },
    consecutiveFailures: { count: 3, refillSeconds: 86_400 },
  });
  const host = 'shop.example.com';
  await fail(host);
  t.equal(await order(host), null, 'an order spends none of them');
  await fail(host);
  t.match(await order(host), { until: clock.now() + 12 * minute, detail: /failed authorizations/ });
  t.equal(await order('other.example.com'), null);
  clock.advance(12 * minute);
  t.equal(await order(host), null);
  await fail(host);
  const refusal = await order(host);
  t.match(refusal?.detail, /failures in a row of shop\.example\.com/);
  await succeed(host);
  t.equal(await store.get('bucket', `le/consecutiveFailures/${host}`), null);
});

t.test('an order that no certificate came of does not count as a certificate', async (t) => {
  const { order, fail, giveBack } = await openLedger(t, {
    newOrders: { count: 5, refillSeconds: 36 },
    certificatesPerDomain: { count: 1, refillSeconds: 12_096 },
    sameNames: { count: 1, refillSeconds: 120_960 },
  });
  t.equal(await order('broken.example.com'), null);
  t.ok(await order('good.example.com'));
  await fail('broken.example.com');
  t.equal(await order('good.example.com'), null);
  await giveBack('good.example.com');
  t.equal(await order('good.example.com'), null);
  await fail('other.example.com', true);
  t.ok(await order('third.example.com'), 'what an exempt order did not spend is not given back');
});

t.test('an exempt renewal is free of all limits but not of a pause', async (t) => {
  const { clock, store, order, fail, pause } = await openLedger(t, {
    newOrders: { count: 1, refillSeconds: 36 },
    sameNames: { count: 1, refillSeconds: 36 },
    failedAuthorizations: { count: 1, refillSeconds: 36 },
  });
  const host = 'shop.example.com';
  await order(host);
  await fail(host);
  await order(host);
  t.ok(await order(host));
  const before = await store.head();
  t.equal(await order(host, true), null);
  t.strictSame(await store.head(), before, 'it spends nothing');
  const until = clock.now() + hour;
  await pause(until);
  t.match(await order(host, true), { until, detail: /asked to be left alone until/ });
  await pause(until - minute);
  t.match(await order(host, true), { until }, 'a later word never shortens a pause');
  clock.advance(hour);
  t.equal(await order(host, true), null);
});

t.test('a renewal outside its ARI window counts for its own names only', async (t) => {
  const { order } = await openLedger(t, {
    newOrders: { count: 1, refillSeconds: 36 },
    certificatesPerDomain: { count: 1, refillSeconds: 36 },
    sameNames: { count: 2, refillSeconds: 36 },
  });
  t.equal(await order('shop.example.com'), null);
  t.equal(await order('shop.example.com', 'renewal'), null);
  t.match(await order('shop.example.com', 'renewal'), { detail: /same name/ });
});

t.test('a pause for one domain leaves the others alone', async (t) => {
  const { clock, order, pause } = await openLedger(t, null);
  const until = clock.now() + hour;
  await pause(until, 'example.com');
  t.match(await order('shop.example.com'), { until, detail: /left alone with example\.com until/ });
  t.equal(await order('shop.example.org'), null);
});

t.test('a 429 is told to be about the account, the domain or the host by its text', async (t) => {
  const host = 'shop.example.com';
  const about = (detail: string) => pauseKey(detail, host);
  const window = 'in the last 168h0m0s, retry after 2026-11-25 01:02:03 UTC';
  t.equal(about(`too many new orders (300) from this account ${window}`), '');
  t.equal(about(`too many certificates (50) already issued for "example.com" ${window}`), 'example.com');
  t.equal(about(`too many failed authorizations (5) for "shop.example.com" ${window}`), host);
  t.equal(
    about(`too many certificates (5) already issued for this exact set of identifiers ${window}`),
    host,
  );
  t.equal(about('Service busy; see https://example.com.invalid/'), '');
});

t.test('a sweep deletes what is full again and over, and nothing else', async (t) => {
  const { clock, store, ledger, order, pause } = await openLedger(t, {
    newOrders: { count: 500, refillSeconds: 3_600 },
    sameNames: { count: 5, refillSeconds: 60 },
  });
  for (let index = 0; index < 250; index += 1) await order(`shop-${index}.example.com`);
  await pause(clock.now() + minute);
  t.equal(await store.count('bucket'), 252);
  t.equal(await ledger.sweep(new AbortController().signal), 0);
  clock.advance(minute);
  t.equal(await ledger.sweep(new AbortController().signal), 251, 'in more than one commit');
  t.equal(await store.count('bucket'), 1);
  t.ok(await store.get('bucket', 'le/newOrders/account'));
});

t.test('a bucket that is spent from during a sweep stays', async (t) => {
  const { clock, store, limits, order } = await openLedger(t, { sameNames: { count: 5, refillSeconds: 60 } });
  await order('a.example.com');
  await order('b.example.com');
  clock.advance(minute);
  const listDue: ConfigStore['listDue'] = async (...given) => {
    const due = await store.listDue(...given);
    await order('a.example.com');
    return due;
  };
  const ledger = createLedger({ store: { ...store, listDue }, now: clock.now });
  t.equal(await ledger.sweep(new AbortController().signal), 1);
  const { items } = await ledger.states('le', limits, { limit: 10 });
  t.match(items, [{ limit: 'sameNames', key: 'a.example.com', left: 4 }]);
});

t.test('what is left of each limit can be listed, page by page, of one issuer only', async (t) => {
  const { clock, ledger, limits, order, fail, pause } = await openLedger(t);
  await order('a.example.com');
  await order('b.example.com');
  await fail('b.example.com');
  await pause(clock.now() + hour);
  const other = await ledger.pause('lf', clock.now() + hour);
  t.equal(other.changes.length, 1);

  const seen = [];
  let cursor: string | undefined;
  do {
    const page = await ledger.states('le', limits, { limit: 2, cursor });
    t.equal(page.retryAt, new Date(clock.now() + hour).toISOString());
    seen.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  t.match(seen, [
    { limit: 'certificatesPerDomain', key: 'example.com', count: 50, left: 49 },
    { limit: 'consecutiveFailures', key: 'b.example.com', left: 1_151 },
    { limit: 'failedAuthorizations', key: 'b.example.com', left: 4 },
    {
      limit: 'newOrders',
      key: null,
      left: 298,
      refillSeconds: 36,
      nextAt: new Date(clock.now() + 36_000).toISOString(),
    },
    { limit: 'sameNames', key: 'a.example.com', left: 4 },
  ]);
  t.equal(seen.length, 5);
  t.strictSame(await ledger.states('none', limits, { limit: 2 }), { retryAt: null, items: [], next: null });
});

t.test('only Let’s Encrypt’s directories have limits of their own', async (t) => {
  t.match(defaultLimits('https://acme-v02.api.letsencrypt.org/directory'), { newOrders: { count: 300 } });
  t.match(defaultLimits('https://acme-staging-v02.api.letsencrypt.org/directory'), {
    newOrders: { count: 1_500 },
    certificatesPerDomain: { count: 30_000 },
  });
  t.equal(defaultLimits('https://acme.zerossl.com/v2/DV90'), null);
  t.equal(defaultLimits('https://localhost:14000/dir?acme-v02.api.letsencrypt.org'), null);
  t.equal(defaultLimits(''), null);
});
