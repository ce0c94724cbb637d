import { AppError, type LogEntry } from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { waitFor } from '@lockstep/testkit';
import { pino } from 'pino';
import t from 'tap';
import { adminAccess } from '../../src/auth/access.ts';
import type { ChangeListener } from '../../src/changes/change-hub.ts';
import { createKnownTokens } from '../../src/tokens/known-tokens.ts';
import { createTokenService } from '../../src/tokens/token-service.ts';
import { createTokenUses } from '../../src/tokens/token-uses.ts';
import { byAdmin } from '../by-admin.ts';

const log = pino({ level: 'silent' });
const body = { name: 'shop', scopes: ['routes:read' as const] };

async function start(test: Pick<typeof t, 'teardown'>) {
  const store = createSqliteStore({ path: ':memory:' });
  await store.open({ create: true, expectedEpoch: null });
  test.teardown(() => store.close());
  let away = false;
  let tell: ChangeListener = () => {};
  const refuse = <A extends unknown[], R>(work: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      if (away) throw new AppError('store_unavailable', 'away');
      return work(...args);
    };
  };
  const reachable = {
    get: refuse(store.get.bind(store)),
    list: refuse(store.list.bind(store)),
  } as typeof store;
  const hub = {
    watch(listener: ChangeListener) {
      tell = listener;
      return () => {};
    },
  };
  const known = await createKnownTokens({ store: reachable, hub, log });
  test.teardown(known.close);
  return {
    store,
    known,
    service: createTokenService({ store, known: { forget: () => {} } }), // of another control plane
    tell: (entry: LogEntry | null) => tell(entry),
    lose: () => (away = true),
    regain: () => (away = false),
  };
}

t.test(
  'without the store, tokens that are known hold on, and of others it is not said that they are none',
  async (t) => {
    const { known, service, lose } = await start(t);
    const [used, unused] = [
      await service.make(byAdmin, adminAccess, body),
      await service.make(byAdmin, adminAccess, body),
    ];
    t.match(await known.find(used.token), { principal: { id: used.id } });
    lose();
    t.match(await known.find(used.token), { principal: { id: used.id } });
    await t.rejects(known.find(unused.token), { code: 'store_unavailable' });
    t.equal(await known.find('lks_nothing'), null, 'what has not the form of one needs no store');
    t.equal(await known.find(`${used.token.slice(0, -1)}${used.token.endsWith('A') ? 'Q' : 'A'}`), null);
  },
);

t.test('where any record may have changed, all tokens are read anew', async (t) => {
  const { known, service, tell, lose, regain, store } = await start(t);
  const { id, token } = await service.make(byAdmin, adminAccess, body);
  t.ok(await known.find(token));
  await service.revoke(byAdmin, adminAccess, id);
  lose();
  tell(null);
  t.ok(await known.find(token), 'as long as they cannot be');
  regain();
  tell(null);
  await waitFor(async () => (await known.find(token)) === null, { what: 'another try to read them' });
  t.equal(await store.count('token'), 0);
});

t.test('a token that says more than this revision knows is none', async (t) => {
  const { known, service, store } = await start(t);
  const { id, token } = await service.make(byAdmin, adminAccess, body);
  const record = await store.get('token', id);
  const value = { ...record!.value, version: 2 };
  await store.commit({ id: 'later', changes: [{ op: 'put', kind: 'token', id, value }] });
  t.equal(await known.find(token), null);
});

t.test(
  'when a token was used last is written for all that were, in one commit, and for none that is gone',
  async (t) => {
    const { store, known, service } = await start(t);
    let now = Date.parse('2026-11-26T09:00:00Z');
    const uses = createTokenUses({ store, tokens: known, log, now: () => now });
    t.teardown(uses.close);
    const made = [];
    for (let count = 0; count < 3; count += 1) made.push(await service.make(byAdmin, adminAccess, body));
    for (const { id, token } of made) {
      await known.find(token);
      uses.note(id);
    }
    await service.revoke(byAdmin, adminAccess, made[2]!.id);
    const { number } = await store.head();
    await uses.write();
    await uses.write();
    t.equal((await store.head()).number, number + 1);
    const lastUsedAt = '2026-11-26T09:00:00.000Z';
    t.match((await service.list(adminAccess, { limit: 10 })).items, [{ lastUsedAt }, { lastUsedAt }]);
    t.equal(await store.count('token-use'), 2);
    now -= 60_000;
    uses.note(made[0]!.id);
    await uses.write();
    t.equal((await store.head()).number, number + 1, 'another control plane’s later use stands');
  },
);
