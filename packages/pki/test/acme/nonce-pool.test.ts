import t from 'tap';
import { createNoncePool } from '../../src/acme/nonce-pool.ts';

t.test('keeps the 64 freshest nonces, and gives the freshest first, each once', async (t) => {
  const pool = createNoncePool();
  for (let index = 0; index < 100; index++) pool.put(`nonce-${index}`);
  const taken: string[] = [];
  for (let nonce = pool.take(); nonce !== undefined; nonce = pool.take()) taken.push(nonce);
  t.same(
    taken,
    Array.from({ length: 64 }, (_, index) => `nonce-${99 - index}`),
  );
});

t.test('forgets all when told', async (t) => {
  const pool = createNoncePool();
  pool.put('nonce');
  pool.clear();
  t.equal(pool.take(), undefined);
});
