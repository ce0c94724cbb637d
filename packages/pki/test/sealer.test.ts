import { randomBytes } from 'node:crypto';
import t from 'tap';
import { checkCanary, createSealer, generateSecretKey, sealCanary } from '../src/index.ts';

const context = 'certificate/shop.example.com';
const secret = 'a private key, ✓';

t.test('what is sealed opens again, under the same key and context only', async (t) => {
  const secretKey = generateSecretKey();
  const sealer = createSealer(secretKey);
  const sealed = sealer.seal(secret, context);
  t.match(sealed, new RegExp(`^v1\\.${sealer.keyId}\\.[\\w-]+$`));
  t.equal(createSealer(secretKey).open(sealed, context), secret);
  t.equal(sealer.open(sealer.seal('', context), context), '');
  t.not(sealer.seal(secret, context), sealed, 'never the same text twice');
  t.throws(() => sealer.open(sealed, 'certificate/other.example.com'), { code: 'wrong_secret_key' });
  t.throws(() => createSealer(generateSecretKey()).open(sealed, context), { code: 'wrong_secret_key' });
});

t.test('an altered text does not open, whichever byte it is', async (t) => {
  const sealer = createSealer(generateSecretKey());
  const sealed = sealer.seal(secret, context);
  const start = sealed.lastIndexOf('.') + 1;
  const bytes = Buffer.from(sealed.slice(start), 'base64url');
  for (let index = 0; index < bytes.length; index++) {
    const altered = Buffer.from(bytes);
    altered[index]! ^= 1;
    const text = sealed.slice(0, start) + altered.toString('base64url');
    t.throws(() => sealer.open(text, context), { code: 'wrong_secret_key' }, `byte ${index}`);
  }
  const cut = bytes.subarray(0, 12 + 4).toString('base64url'); // a nonce and four bytes that pass for a tag
  for (const text of [
    '',
    'v1',
    secret,
    sealed.slice(0, start),
    sealed.slice(0, start) + cut,
    sealed.replace('v1', 'v2'),
  ])
    t.throws(() => sealer.open(text, context), { code: 'wrong_secret_key' }, text);
});

t.test('a secret key that is not 32 bytes in base64 is refused without being shown', async (t) => {
  const bad = [16, 31, 33, 64].map((size) => randomBytes(size).toString('base64'));
  for (const secretKey of [...bad, randomBytes(32).toString('hex'), `${generateSecretKey()}!`, '']) {
    try {
      createSealer(secretKey);
      t.fail('was taken');
    } catch (error) {
      t.match(error, { code: 'bad_configuration', message: /lockstep keygen/ });
      t.notOk(secretKey !== '' && String(error).includes(secretKey));
    }
  }
  t.ok(createSealer(`${generateSecretKey()}\n`), 'a line end of a file does not matter');
});

t.test('a canary tells another key', async (t) => {
  const sealer = createSealer(generateSecretKey());
  const canary = sealCanary(sealer);
  checkCanary(sealer, canary);
  t.throws(() => checkCanary(createSealer(generateSecretKey()), canary), { code: 'wrong_secret_key' });
  t.throws(() => checkCanary(sealer, sealer.seal('lockstep', context)), { code: 'wrong_secret_key' });
});
