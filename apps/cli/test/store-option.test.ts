import t from 'tap';
import { checkStoreUrl } from '../src/commands/option-values.ts';

t.test('every documented address of a store is taken', async (t) => {
  for (const address of [
    'redis://127.0.0.1',
    'redis://user:p%40ss@redis.internal:6379/2',
    'rediss://[::1]:6380',
    'redis+sentinel://a:26379,b:26379,c/main',
    'redis+sentinel://user:password@a,b/main',
    'rediss+sentinel://a/main',
    'redis+cluster://a:7000,b:7001,[::1]:7002',
    'rediss+cluster://user:password@a',
  ]) {
    t.equal(checkStoreUrl(address), address);
  }
});

t.test('an address that is none is refused with the flag and the reason, without its password', async (t) => {
  for (const [address, reason] of [
    ['http://user:hunter2@a', /looks like/],
    ['redis://:hunter2@a,b', /several addresses/],
    ['redis+sentinel://:hunter2@a,b', /master-name/],
    ['redis+cluster://:hunter2@a/1', /no databases/],
    ['redis://:hunter2@a:99999', /host:port/],
    ['', /looks like/],
  ] as const) {
    try {
      checkStoreUrl(address);
      t.fail(address);
    } catch (error) {
      t.match(error, { code: 'bad_configuration', message: reason });
      t.match((error as Error).message, /^--store \(LOCKSTEP_STORE\)/);
      t.notMatch((error as Error).message, /hunter2/);
    }
  }
});
