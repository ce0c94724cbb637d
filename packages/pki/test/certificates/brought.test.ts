import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import t from 'tap';
import {
  checkBrought,
  checkChain,
  createAuthority,
  generateKeyPem,
  issueCertificate,
  splitChain,
} from '../../src/index.ts';
import { createCa, createLeaf } from './certificate-tree.ts';

const now = Date.now();
const dayMs = 86_400_000;
const root = await createCa({ name: 'Root', now });
const intermediate = await createCa({ name: 'Intermediate', issuer: root, now });
const issuing = await createCa({ name: 'Issuing', issuer: intermediate, now });
const leaf = await createLeaf({ name: 'leaf', issuer: issuing, now });
const { keyPem } = leaf;
const inOrder = leaf.pem + issuing.pem + intermediate.pem;

const bring = (chain: string, options = {}) => checkBrought({ chain, keyPem, now, ...options });
const refused = (message: RegExp) => ({ code: 'bad_certificate', message });
const subjects = (chain: string) => splitChain(chain).map((pem) => new X509Certificate(pem).subject);

t.test(
  'certificates in any order, with or without the root, come out leaf first and without it',
  async (t) => {
    const given = [
      inOrder,
      root.pem + intermediate.pem + issuing.pem + leaf.pem,
      `Bag Attributes\n${issuing.pem}${leaf.pem.replaceAll('\n', '\r\n')}subject=CN=x\n${root.pem}${intermediate.pem}`,
      inOrder + inOrder,
    ];
    for (const chain of given) t.equal(bring(chain).chain, inOrder);
    t.equal(bring(leaf.pem).chain, leaf.pem, 'a leaf alone is taken: clients may know its issuer');
    t.same(subjects(inOrder), ['CN=leaf', 'CN=Issuing', 'CN=Intermediate']);
  },
);

t.test('what comes out can be served, with the facts of the leaf', async (t) => {
  const brought = bring(root.pem + inOrder);
  const facts = checkChain({ ...brought, host: 'shop.example.com', now });
  t.same(brought.facts, facts);
  t.same(brought.names, ['shop.example.com']);
  t.equal(brought.facts.issuerName, 'CN=Issuing');
});

t.test('a cross-signed CA leads either way, and its other certificate goes', async (t) => {
  const older = await createCa({ name: 'Older root', now });
  const cross = await createCa({ name: 'Root', issuer: older, keyPem: root.keyPem, now });
  t.same(subjects(bring(inOrder + root.pem + cross.pem).chain), [...subjects(inOrder), 'CN=Root']);
  const crossed = await createCa({ name: 'Issuing', issuer: older, keyPem: issuing.keyPem, now });
  t.equal(bring(inOrder + crossed.pem + older.pem).chain, inOrder);
});

t.test('a chain with a gap, or with a stranger in it, is refused by the stranger’s name', async (t) => {
  t.throws(() => bring(leaf.pem + intermediate.pem), refused(/broken.*"CN=Intermediate"/));
  t.throws(() => bring(leaf.pem + root.pem), refused(/broken.*"CN=Root"/));
  const imposter = await createCa({ name: 'Issuing', issuer: root, now });
  t.throws(
    () => bring(leaf.pem + imposter.pem),
    refused(/broken.*"CN=Issuing"/),
    'the name alone does not do',
  );
  const other = await createLeaf({ name: 'other', issuer: issuing, now });
  t.throws(() => bring(inOrder + other.pem), refused(/broken.*"CN=other"/));
});

t.test('RSA and EC keys in each form that is not encrypted come out as PKCS#8', async (t) => {
  const authority = await createAuthority({ now });
  const forms = { 'rsa-2048': 'pkcs1', 'ecdsa-p256': 'sec1', 'ecdsa-p384': 'sec1' } as const;
  for (const [type, form] of Object.entries(forms) as [keyof typeof forms, 'pkcs1'][]) {
    const keyPem = await generateKeyPem(type);
    const options = { authority, host: 'shop.example.com', keyPem, lifetimeMs: 90 * dayMs, now };
    const chain = await issueCertificate(options);
    const traditional = createPrivateKey(keyPem).export({ type: form, format: 'pem' }).toString();
    t.match(traditional, /BEGIN (RSA|EC) PRIVATE KEY/);
    const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
    for (const given of [keyPem, traditional, parameters + traditional, traditional.replaceAll('\n', '\r\n')])
      t.equal(bring(chain, { keyPem: given }).keyPem, keyPem, type);
  }
});

t.test('a key that cannot be used is refused, and never quoted', async (t) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encrypt = (type: 'pkcs8' | 'sec1') =>
    privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }).toString();
  const pkcs8 = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const broken = pkcs8(privateKey).replace(/\n.{20}/, '\nAAAA');
  const keys: [string, RegExp][] = [
    [encrypt('pkcs8'), /encrypted; give it without a passphrase/],
    [encrypt('sec1'), /encrypted; give it without a passphrase/],
    [broken, /cannot be read/],
    ['no key', /no PEM private key/],
    [leaf.pem, /no PEM private key/],
    [pkcs8(generateKeyPairSync('ed25519').privateKey), /type ed25519/],
    [pkcs8(privateKey), /does not belong/],
  ];
  for (const [keyPem, message] of keys) {
    const error: unknown = await bringing(keyPem).catch((error) => error);
    t.match(error, refused(message));
    const told = JSON.stringify([error, String(error), (error as Error).cause, (error as Error).stack]);
    for (const line of keyPem.split('\n').filter((line) => line.length > 40))
      t.notOk(told.includes(line.slice(0, 20)), 'no line of the key');
  }

  async function bringing(keyPem: string) {
    return bring(inOrder, { keyPem });
  }
});

t.test('a certificate out of its time is refused, an intermediate too', async (t) => {
  t.throws(() => bring(inOrder, { now: now + 91 * dayMs }), refused(/expired at/));
  t.throws(() => bring(inOrder, { now: now - 2 * dayMs }), refused(/not valid before/));
  const expired = await createCa({
    name: 'Issuing',
    issuer: intermediate,
    keyPem: issuing.keyPem,
    now: now - 100 * dayMs,
  });
  t.throws(() => bring(leaf.pem + expired.pem), refused(/expired at/));
});

t.test('a certificate of a CA is refused, and one for clients alone is served for no name', async (t) => {
  const leafOf = (options: Partial<Parameters<typeof createLeaf>[0]>) =>
    createLeaf({ name: 'leaf', issuer: issuing, keyPem, now, ...options });
  t.throws(() => bring(issuing.pem, { keyPem: issuing.keyPem }), refused(/CA’s/));
  t.throws(() => checkChain({ chain: issuing.pem, keyPem: issuing.keyPem, host: 'a', now }), refused(/CA’s/));
  const clients = await leafOf({ usage: '1.3.6.1.5.5.7.3.2' });
  t.same(bring(clients.pem).names, []);
  const signing = await leafOf({ usage: '1.3.6.1.5.5.7.3.3' });
  t.throws(() => bring(signing.pem), refused(/serverAuth/));
  t.ok(bring((await leafOf({ usage: '1.3.6.1.5.5.7.3.1' })).pem));
  const child = await createLeaf({ name: 'child', issuer: { ...leaf, name: 'leaf' }, now });
  t.throws(
    () => bring(child.pem + leaf.pem, { keyPem: child.keyPem }),
    refused(/certificate 2 of the chain is not a CA’s/),
  );
});

t.test('the names are hosts as routes have them; without one it is refused', async (t) => {
  const named = async (...names: string[]) => {
    const items = names.map((value) => ({
      type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const),
      value,
    }));
    const { pem } = await createLeaf({
      name: 'shop.example.com',
      issuer: issuing,
      keyPem,
      now,
      names: items,
    });
    return pem;
  };
  const many = await named(
    'Shop.Example.com',
    '*.example.com',
    'xn--bcher-kva.example',
    'shop.example.com',
    '192.0.2.1',
    '_sip.example.com',
  );
  t.same(bring(many).names, ['shop.example.com', '*.example.com', 'xn--bcher-kva.example', '192.0.2.1']);
  t.throws(() => bring('').names, refused(/holds no certificate/));
  const nameless = await named();
  t.throws(() => bring(nameless), refused(/no DNS name/), 'a common name does not count');
  const addresses = await named('192.0.2.1');
  t.same(bring(addresses).names, ['192.0.2.1']);
  const feigned = await named('shop.example.com', 'a.example.com, IP Address:192.0.2.1');
  t.same(bring(feigned).names, ['shop.example.com'], 'a name that reads like an address is none');
  const odd = await named('_sip.example.com');
  t.throws(() => bring(odd), refused(/no host that a route can have: _sip/));
});

t.test('what OpenSSL would not serve is refused now, not by every edge', async (t) => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const short = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const { pem } = await createLeaf({ name: 'leaf', issuer: issuing, keyPem: short, now });
  t.throws(() => bring(pem, { keyPem: short }), refused(/OpenSSL refuses.*too small/));
});

t.test('a self-signed certificate of a server’s own is taken', async (t) => {
  const own = await createLeaf({ name: 'own', now });
  t.equal(bring(own.pem, { keyPem: own.keyPem }).chain, own.pem);
});
