import t from 'tap';
import { createRedisStore } from '../../src/index.ts';
import { parseStoreUrl } from '../../src/redis/store-url.ts';

t.test('reads each form of a store’s address', async (t) => {
  t.match(parseStoreUrl('redis://127.0.0.1'), {
    mode: 'single',
    nodes: [{ host: '127.0.0.1', port: 6379 }],
    tls: false,
    db: 0,
  });
  t.match(parseStoreUrl('redis://[::1]:7000/3'), { nodes: [{ host: '::1', port: 7000 }], db: 3 });
  t.match(parseStoreUrl('rediss://me:p%40ss%2F@redis.example:6380'), {
    tls: true,
    username: 'me',
    password: 'p@ss/',
    shown: 'rediss://redis.example:6380',
  });
  t.match(parseStoreUrl('redis://:secret@host'), { username: undefined, password: 'secret' });
  t.match(parseStoreUrl('redis+sentinel://u:p@a:1,b/main'), {
    mode: 'sentinel',
    nodes: [
      { host: 'a', port: 1 },
      { host: 'b', port: 26379 },
    ],
    masterName: 'main',
    username: 'u',
  });
  t.match(parseStoreUrl('redis+cluster://a:1,b:2'), {
    mode: 'cluster',
    nodes: [
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ],
  });
});

t.test('refuses an address it cannot read, without showing the password', async (t) => {
  for (const url of [
    'http://u:secret@x',
    'redis://u:secret@a,b',
    'redis://u:secret@a:99999',
    'redis+sentinel://u:secret@a',
    'redis+cluster://u:secret@a/0',
    'redis://u:secret@a/db',
    'redis://u:%secret@a',
    '',
  ]) {
    try {
      createRedisStore({ url });
      t.fail(`took ${url}`);
    } catch (error) {
      t.match(error, { code: 'bad_configuration' });
      t.notMatch(String((error as Error).message), /secret/);
    }
  }
  t.throws(() => createRedisStore({ url: 'redis://a', prefix: 'a{b}' }), { code: 'bad_configuration' });
});
