import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';
import { runOpenssl, testFolder } from '@lockstep/testkit';
import t from 'tap';
import { issuerOf, worthTaking } from '../../src/import/certificate-deeds.ts';
import { findCertificates } from '../../src/import/certificate-sources.ts';

const now = Date.now();
const dayMs = 86_400_000;
const authority = await createAuthority({ now: now - dayMs });
const base64 = (text: string) => Buffer.from(text).toString('base64');

async function made(host: string, lifetimeMs = 90 * dayMs, from = now) {
  const key = await generateKeyPem();
  return { key, chain: await issueCertificate({ authority, host, keyPem: key, lifetimeMs, now: from }) };
}

const issuers = [
  { name: 'internal', type: 'internal', directory: null },
  { name: 'letsencrypt', type: 'acme', directory: 'https://acme-v02.api.letsencrypt.org/directory' },
  { name: 'zerossl', type: 'zerossl', directory: null },
];

t.test('certificates are found where each tool keeps them, with the issuer that they are from', async (t) => {
  const { key, chain } = await made('shop.example.com');
  const pair = { 'shop.example.com.crt': chain, 'shop.example.com.key': key };
  const table: [string, object, string, string | null][] = [
    [
      'certbot',
      {
        live: { shop: { 'fullchain.pem': chain, 'privkey.pem': key, 'cert.pem': chain } },
        renewal: {
          'shop.conf': '[renewalparams]\nserver = https://acme-v02.api.letsencrypt.org/directory\n',
        },
      },
      '',
      'letsencrypt',
    ],
    [
      'Traefik',
      {
        'acme.json': JSON.stringify({
          le: {
            Account: { Registration: { uri: 'https://acme-v02.api.letsencrypt.org/acme/acct/1' } },
            Certificates: [
              { domain: { main: 'shop.example.com' }, certificate: base64(chain), key: base64(key) },
            ],
          },
          empty: { Certificates: null },
        }),
      },
      'acme.json',
      'letsencrypt',
    ],
    [
      'Caddy',
      { certificates: { 'acme-v02.api.letsencrypt.org-directory': { 'shop.example.com': pair } } },
      '',
      'letsencrypt',
    ],
    [
      'Caddy, ZeroSSL',
      { certificates: { 'acme.zerossl.com-v2-dv90': { 'shop.example.com': pair } } },
      '',
      'zerossl',
    ],
    ['Caddy, its own CA', { certificates: { local: { 'shop.example.com': pair } } }, '', 'internal'],
    ['PEM files', { a: { 'tls.crt': chain }, keys: { 'any.pem': key }, 'readme.txt': 'hello' }, '', null],
    ['one PEM file', { 'both.pem': key + chain }, 'both.pem', null],
  ];
  for (const [name, tree, path, issuer] of table) {
    const folder = testFolder(t, tree as never);
    const { certificates, faults } = findCertificates(path === '' ? folder : `${folder}/${path}`);
    t.match(certificates, [{ names: ['shop.example.com'], key: key.trim(), chain: chain.trim() }], name);
    t.equal(certificates.length, 1, name);
    t.strictSame(faults, [], name);
    t.equal(issuerOf(certificates[0]!, issuers), issuer, name);
  }
});

t.test(
  'a certificate that calls itself a CA is told of where it has names, as openssl makes them',
  async (t) => {
    const key = await generateKeyPem();
    const folder = testFolder(t, { 'own.key': key });
    const sign = (name: string, ...more: string[]) =>
      runOpenssl(
        folder,
        'req',
        '-x509',
        '-key',
        'own.key',
        '-out',
        `${name}.crt`,
        '-subj',
        `/CN=${name}`,
        ...more,
      );
    await sign('own', '-addext', 'subjectAltName=DNS:own.example.com');
    await sign('root');
    const { certificates, faults } = findCertificates(folder);
    t.strictSame(certificates, []);
    t.match(faults, [{ from: /own.crt$/, detail: /calls itself a CA.*: own.example.com/ }]);
    t.equal(faults.length, 1);
  },
);

t.test('what cannot be taken over is told of, and never the key', async (t) => {
  const [one, other] = [await made('a.example.com'), await made('b.example.com')];
  const folder = testFolder(t, {
    certificates: {
      local: {
        a: { 'a.crt': one.chain, 'a.key': other.key },
        b: { 'b.crt': 'none', 'b.key': other.key },
        c: { 'c.crt': other.chain },
      },
    },
  });
  const { certificates, faults } = findCertificates(folder);
  t.strictSame(certificates, []);
  t.equal(faults.length, 2);
  t.notMatch(JSON.stringify(faults), /PRIVATE|BEGIN/);
  const alone = findCertificates(`${testFolder(t, { 'cert.pem': one.chain })}/cert.pem`);
  t.match(alone, { certificates: [], faults: [{ detail: /has no key here: a.example.com/ }] });
  t.throws(() => findCertificates('/nowhere/at/all'), { code: 'bad_configuration' });
});

t.test(
  'of several for the same names the one that lasts longest is taken, and none that has expired',
  async (t) => {
    const [short, long, old] = await Promise.all([
      made('a.example.com', 30 * dayMs),
      made('a.example.com', 90 * dayMs),
      made('b.example.com', 1_000, now - dayMs),
    ]);
    const folder = testFolder(t, {
      1: { 'c.pem': short.chain, 'k.pem': short.key },
      2: { 'c.pem': long.chain, 'k.pem': long.key },
      3: { 'c.pem': old.chain, 'k.pem': old.key },
    });
    const { certificates } = findCertificates(folder);
    t.equal(certificates.length, 3);
    const { taken, passed } = worthTaking(certificates, now);
    t.strictSame(
      taken.map(({ key }) => key.trim()),
      [long.key.trim()],
    );
    t.match(passed, [{ detail: /^expired on / }]);
  },
);
