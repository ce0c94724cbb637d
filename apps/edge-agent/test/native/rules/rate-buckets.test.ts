import t from 'tap';
import { createRateBuckets, type Taken } from '../../../src/native/rules/rate-buckets.ts';

t.test('so many at once, then one at a time', async (t) => {
  const buckets = createRateBuckets({ tell: null });
  const take = (key: string, now: number) => buckets.take(key, { count: 2, refillSeconds: 1 }, now);
  t.strictSame([take('a', 0), take('a', 0), take('a', 0)], [null, null, 1_000]);
  t.equal(take('b', 0), null, 'each key for itself');
  t.strictSame([take('a', 999), take('a', 1_000), take('a', 1_001)], [1_000, null, 2_000]);
  t.strictSame(
    [take('a', 9_000), take('a', 9_000), take('a', 9_000)],
    [null, null, 10_000],
    'never more than the burst',
  );
});

t.test('there are never more buckets than there is room for, whoever invents keys', async (t) => {
  const buckets = createRateBuckets({ tell: null, most: 1_000 });
  const take = (key: string) => buckets.take(key, { count: 1, refillSeconds: 60 }, 0);
  for (let i = 0; i < 10_000; i += 1) take(String(i));
  t.ok(buckets.size <= 1_000 && buckets.size >= 500, String(buckets.size));
  t.equal(take('9999'), 60_000, 'what is in use stays');
});

t.test('the workers of an edge share a limit, and what passed beyond it is paid back', async (t) => {
  const told: Taken[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const one = createRateBuckets({
    tell(taken) {
      told.push(taken);
      resolve();
    },
  });
  const other = createRateBuckets({ tell: null });
  const limit = { count: 4, refillSeconds: 1 };
  for (let i = 0; i < 3; i += 1) t.equal(one.take('shop', limit, 0), null);
  for (let i = 0; i < 3; i += 1) t.equal(other.take('shop', limit, 0), null);
  await promise;
  t.strictSame(told, [[['shop', 3]]]);
  other.takenElsewhere(told[0]!);
  t.strictSame(
    [other.take('shop', limit, 0), other.take('shop', limit, 2_999)],
    [3_000, 3_000],
    'six of four',
  );
  t.equal(other.take('shop', limit, 3_000), null);
  const fresh = createRateBuckets({ tell: null });
  fresh.takenElsewhere([['shop', 4]]);
  t.equal(fresh.take('shop', limit, 0), 1_000, 'also of a bucket that it did not have');
  one.close();
});
