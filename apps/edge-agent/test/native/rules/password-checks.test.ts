import { argon2Sync } from 'node:crypto';
import { hashSync } from 'bcryptjs';
import t, { type Test } from 'tap';
import { createPasswordChecks } from '../../../src/native/rules/password-checks.ts';

const cheap = hashSync('right', 4);
const htpasswd = hashSync('right', 5).replace('$2b$', '$2y$');

function start(t: Test, now?: () => number) {
  const checks = createPasswordChecks({
    onException: (place, error) => t.fail(`${place}: ${error}`),
    ...(now === undefined ? {} : { now }),
  });
  t.teardown(() => checks.close());
  return checks;
}

t.test(
  'finds passwords right and wrong by hashes of bcrypt and argon2id, and remembers what it found',
  async (t) => {
    const checks = start(t);
    const salt = Buffer.from('sixteen bytes ok');
    const options = { nonce: salt, parallelism: 1, tagLength: 32, memory: 64, passes: 1 };
    const digest = argon2Sync('argon2id', { message: 'right', ...options });
    const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
    const argon2 = `$argon2id$v=19$m=64,t=1,p=1$${text(salt)}$${text(digest)}`;
    for (const hash of [cheap, htpasswd, htpasswd.replace('$2y$', '$2a$'), argon2]) {
      t.equal(await checks.check(hash, 'right', 'a'), 'right', hash.slice(0, 7));
      t.equal(await checks.check(hash, 'wrong', 'a'), 'wrong');
    }
    const { looks } = checks;
    t.equal(checks.check(argon2, 'right', 'b'), 'right', 'at once');
    t.equal(checks.check(argon2, 'wrong', 'b'), 'wrong');
    t.equal(checks.looks, looks);
  },
);

t.test('the same password from many at once is looked at once', async (t) => {
  const checks = start(t);
  const all = await Promise.all(
    Array.from({ length: 50 }, (_, i) => checks.check(htpasswd, 'right', `c${i}`)),
  );
  t.ok(all.every((verdict) => verdict === 'right'));
  t.equal(checks.looks, 1);
});

t.test('what was found is forgotten some time after its last use', async (t) => {
  let now = 0;
  const checks = start(t, () => now);
  await checks.check(htpasswd, 'right', 'a');
  now += 500_000;
  t.equal(checks.check(htpasswd, 'right', 'a'), 'right');
  now += 1_200_000;
  t.equal(await checks.check(htpasswd, 'right', 'a'), 'right');
  t.equal(checks.looks, 2);
});

t.test('who guesses waits behind others, and no more of his guesses wait than a few', async (t) => {
  const checks = start(t);
  const order: string[] = [];
  const note = async (name: string, verdict: ReturnType<typeof checks.check>) =>
    order.push(`${name} ${await verdict}`);
  const guesses = Array.from({ length: 20 }, (_, i) =>
    note('guesser', checks.check(htpasswd, `guess ${i}`, 'guesser')),
  );
  await Promise.all([...guesses, note('other', checks.check(htpasswd, 'right', 'other'))]);
  t.equal(order.filter((one) => one === 'guesser busy').length, 15, 'one under way, four wait');
  const looked = order.filter((one) => one !== 'guesser busy');
  t.equal(looked.indexOf('other right'), 1, 'behind the one under way alone');
  t.equal(checks.looks, 6);
});

t.test('who has just been wrong waits behind who has not', async (t) => {
  const checks = start(t);
  const clients = ['a', 'b', 'c', 'd'];
  for (const client of clients) await checks.check(htpasswd, `wrong by ${client}`, client);
  const order: string[] = [];
  const note = async (name: string, password: string) =>
    order.push(`${name} ${await checks.check(htpasswd, password, name)}`);
  const guesses = clients.map((client) => note(client, `wrong again by ${client}`));
  await Promise.all([...guesses, note('other', 'right')]);
  t.same(order, ['a wrong', 'other right', 'b wrong', 'c wrong', 'd wrong']);
});

t.test('what waits for too long is let go, and so is what waits at the end', async (t) => {
  let now = 0;
  const checks = start(t, () => now);
  const first = checks.check(htpasswd, 'one', 'a');
  const late = checks.check(htpasswd, 'two', 'b');
  now += 10_001;
  t.equal(await late, 'busy');
  t.equal(await first, 'wrong', 'it was under way');
  const left = checks.check(htpasswd, 'three', 'a');
  checks.close();
  t.equal(await left, 'busy');
  t.equal(await checks.check(htpasswd, 'four', 'a'), 'busy');
});
