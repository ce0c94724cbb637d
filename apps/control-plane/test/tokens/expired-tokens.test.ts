import { createBoundary } from '@lockstep/contract';
import { createSqliteStore } from '@lockstep/store';
import { pino } from 'pino';
import t from 'tap';
import { adminAccess } from '../../src/auth/access.ts';
import { createExpiredTokens, expiredKeptMs } from '../../src/tokens/expired-tokens.ts';
import { createTokenService } from '../../src/tokens/token-service.ts';
import { byAdmin } from '../by-admin.ts';

t.test('a token that has expired is listed for 30 days, and deleted then with its last use', async (t) => {
  let now = Date.now();
  const store = createSqliteStore({ path: ':memory:' });
  t.teardown(() => store.close());
  await store.open({ create: true, expectedEpoch: null });
  const service = createTokenService({ store, known: { forget() {} }, now: () => now });
  const boundary = createBoundary(pino({ level: 'silent' }));
  const expired = createExpiredTokens({ store, boundary, now: () => now });
  t.teardown(expired.close);
  const expiresAt = new Date(now + 60_000).toISOString();
  const make = (more: object) =>
    service.make(byAdmin, adminAccess, { name: 'ci', scopes: ['routes:read'], ...more });
  const [ends, endsToo, stays] = [
    await make({ expiresAt }),
    await make({ expiresAt, tenant: 'shop' }),
    await make({}),
  ];
  for (const { id } of [ends, stays])
    await store.commit({
      id,
      changes: [{ op: 'put', kind: 'token-use', id, value: { lastUsedAt: new Date(now).toISOString() } }],
    });
  const left = async () => (await service.list(adminAccess, { limit: 10 })).items.map(({ id }) => id).sort();

  now += 60_000 + expiredKeptMs - 1;
  t.equal(await expired.sweep(), 0);
  t.same(await left(), [ends.id, endsToo.id, stays.id].sort());
  now += 1;
  t.equal(await expired.sweep(), 2);
  t.same(await left(), [stays.id]);
  t.equal(await store.count('token-use'), 1);
});
