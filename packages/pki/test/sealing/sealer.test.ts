import { randomBytes } from 'node:crypto';
import t from 'tap';
import {
  checkCanary,
  createEdgeSealer,
  createSealer,
  createSealers,
  deriveEdgeKey,
  generateSecretKey,
  keyIdOf,
  sealCanary,
} from '../../src/index.ts';

const context = 'certificate/shop.example.com';
const secret = 'a private key, ✓';

t.test('what is sealed opens again, under the same key and context only', async (t) => {
  const secretKey = generateSecretKey();
  const sealer = createSealer(secretKey);
  const sealed = sealer.seal(secret, context);
  t.match(sealed, new RegExp(`^v1\\.control-planes\\.${sealer.keyId}\\.[\\w-]+$`));
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

t.test('what an earlier revision sealed is called that, and no matter of the key', async (t) => {
  const sealer = createSealer(generateSecretKey());
  const earlier = `v1.${sealer.keyId}.${sealCanary(sealer).split('.').at(-1)}`;
  t.throws(() => checkCanary(sealer, earlier), {
    code: 'bad_configuration',
    message: /earlier revision of Lockstep.*begin with an empty one: .*--store-prefix.*--data-dir/,
  });
  t.throws(() => sealer.open(earlier, context), { message: /earlier revision of Lockstep/ });
});

t.test('what is sealed for edges opens with their key, and nothing else does', async (t) => {
  const secretKey = generateSecretKey();
  const { controlPlanes, edges } = createSealers(secretKey);
  const edge = createEdgeSealer(deriveEdgeKey(secretKey));
  t.equal(edge.open(edges.seal(secret, context), context), secret);
  t.equal(edges.open(edge.seal(secret, context), context), secret);
  t.throws(() => edge.open(controlPlanes.seal(secret, context), context), {
    code: 'wrong_secret_key',
    message:
      'certificate/shop.example.com was sealed for control planes alone, which LOCKSTEP_EDGE_KEY does not open',
  });
  t.throws(() => controlPlanes.open(edges.seal(secret, context), context), {
    code: 'wrong_secret_key',
    message: /for edges alone, which LOCKSTEP_SECRET_KEY does not open/,
  });
  const relabelled = controlPlanes
    .seal(secret, context)
    .replace(/^v1\.[\w-]+\.\w+/, `v1.edges.${edges.keyId}`);
  t.throws(() => edge.open(relabelled, context), { code: 'wrong_secret_key' }, 'whatever it says of itself');
  const other = createEdgeSealer(deriveEdgeKey(generateSecretKey()));
  t.throws(() => other.open(edges.seal(secret, context), context), { message: /LOCKSTEP_EDGE_KEY/ });
  t.throws(() => checkCanary(other, sealCanary(edges)), { message: /^LOCKSTEP_EDGE_KEY is not the key/ });
  checkCanary(edge, sealCanary(edges));
});

t.test('the edge key follows from the secret key, and neither passes for the other', async (t) => {
  const secretKey = Buffer.alloc(32, 7).toString('base64');
  const edgeKey = deriveEdgeKey(secretKey);
  t.equal(
    edgeKey,
    'edge_HvNb+I9QQn7t+/hiSSfz7CoI7o7uf6KbZNbmQgNmfII=',
    'for good: what is sealed has to open tomorrow',
  );
  t.equal(deriveEdgeKey(`${secretKey}\n`), edgeKey);
  t.not(deriveEdgeKey(generateSecretKey()), edgeKey);
  const takes: [(key: string) => unknown, string, RegExp][] = [
    [createSealer, edgeKey, /is an edge key.*LOCKSTEP_EDGE_KEY.*LOCKSTEP_SECRET_KEY/],
    [createSealer, ` ${edgeKey}\n`, /is an edge key/],
    [deriveEdgeKey, edgeKey, /is an edge key/],
    [createEdgeSealer, secretKey, /LOCKSTEP_EDGE_KEY is the secret key.*lockstep keygen --edge/],
    [createEdgeSealer, `${secretKey}\n`, /LOCKSTEP_EDGE_KEY is the secret key/],
    [createEdgeSealer, edgeKey.slice(0, -8), /not whole.*lockstep keygen --edge/],
    [createEdgeSealer, `edge_${edgeKey}`, /not whole/],
    [createEdgeSealer, 'hunter2', /is no edge key.*lockstep keygen --edge/],
  ];
  for (const [take, key, message] of takes) {
    t.throws(() => take(key), { code: 'bad_configuration', message });
    t.throws(() => take(key), { message: new RegExp(`^(?!.*${RegExp.escape(key.trim())})`) }, 'not shown');
  }
  createEdgeSealer(`${edgeKey}\n`);
});

t.test('of several keys the first seals, and all open', async (t) => {
  const [newKey, oldKey] = [generateSecretKey(), generateSecretKey()];
  const [old, alone] = [createSealers(oldKey), createSealers(newKey)];
  for (const keys of [`${newKey},${oldKey}`, `${newKey}\n${oldKey}\n`, ` ${newKey} , ${oldKey}`]) {
    const both = createSealers(keys);
    const edge = createEdgeSealer(deriveEdgeKey(keys));
    t.same(both.controlPlanes.keyIds, [alone.controlPlanes.keyId, old.controlPlanes.keyId]);
    t.same(edge.keyIds, [alone.edges.keyId, old.edges.keyId]);
    for (const [ring, older, newer] of [
      [both.controlPlanes, old.controlPlanes, alone.controlPlanes],
      [both.edges, old.edges, alone.edges],
      [edge, old.edges, alone.edges],
    ] as const) {
      const before = older.seal(secret, context);
      t.equal(ring.open(before, context), secret);
      t.notOk(ring.isCurrent(before));
      const after = ring.sealAnew(before, context);
      t.ok(ring.isCurrent(after));
      t.equal(newer.open(after, context), secret);
      t.throws(() => older.open(after, context), { message: new RegExp(`the key ${newer.keyId}, which`) });
      t.equal(keyIdOf(after), newer.keyId);
      t.throws(() => ring.sealAnew(before, 'certificate/other.example.com'), { code: 'wrong_secret_key' });
    }
  }
  t.throws(() => createSealers(`${newKey},`), { code: 'bad_configuration' }, 'a comma too many');
  t.throws(() => createSealers(`${newKey} ${oldKey}`), { code: 'bad_configuration' });
});

t.test('control planes seal for both with the key that they are told, of those they have', async (t) => {
  const [newKey, oldKey] = [generateSecretKey(), generateSecretKey()];
  const both = createSealers(`${newKey},${oldKey}`);
  const old = createSealers(oldKey);
  const others = both.sealingWith(old.controlPlanes.keyId);
  t.not(both.controlPlanes.keyId, old.controlPlanes.keyId, 'it seals as before');
  both.sealWith(old.controlPlanes.keyId);
  for (const { controlPlanes, edges } of [both, others]) {
    t.equal(old.controlPlanes.open(controlPlanes.seal(secret, context), context), secret);
    t.equal(old.edges.open(edges.seal(secret, context), context), secret);
  }
  const strange = createSealers(generateSecretKey()).controlPlanes.keyId;
  t.throws(() => both.sealWith(strange), { code: 'wrong_secret_key', message: new RegExp(strange) });
  t.equal(both.controlPlanes.keyId, old.controlPlanes.keyId);
  t.equal(keyIdOf(secret), null);
});
