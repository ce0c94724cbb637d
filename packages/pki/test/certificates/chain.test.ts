import { X509Certificate } from 'node:crypto';
import t from 'tap';
import {
  checkChain,
  createAuthority,
  generateKeyPem,
  issueCertificate,
  splitChain,
} from '../../src/index.ts';

const dayMs = 86_400_000;
const now = Date.now();
const authority = await createAuthority({ now });
const keyPem = await generateKeyPem();
const host = 'shop.example.com';
const issue = (host: string) => issueCertificate({ authority, host, keyPem, lifetimeMs: 90 * dayMs, now });
const chain = await issue(host);
const check = (options = {}) => checkChain({ chain, keyPem, host, now, ...options });

t.test('tells the facts of a chain that fits', async (t) => {
  const leaf = new X509Certificate(chain);
  t.same(check({ chain: chain + authority.certificate }), {
    serialNumber: leaf.serialNumber.toLowerCase(),
    fingerprint256: leaf.fingerprint256,
    notBefore: leaf.validFromDate.toISOString(),
    notAfter: leaf.validToDate.toISOString(),
    issuerName: new X509Certificate(authority.certificate).subject,
    subjectAltNames: [host],
  });
});

t.test('a wildcard certificate covers one label and its own name', async (t) => {
  const wildcard = await issue('*.example.com');
  t.ok(check({ chain: wildcard, host: 'any.example.com' }));
  t.ok(check({ chain: wildcard, host: '*.example.com' }));
  for (const host of ['example.com', 'a.b.example.com', '*.b.example.com', 'any.example.org'])
    t.throws(
      () => check({ chain: wildcard, host }),
      { code: 'bad_certificate', message: /does not name/ },
      host,
    );
  t.throws(
    () => check({ host: '*.example.com' }),
    { code: 'bad_certificate' },
    'an exact name covers no wildcard',
  );
});

t.test('refuses what does not fit, and says what', async (t) => {
  const refused = (options: object, message: RegExp) =>
    t.throws(() => check(options), { code: 'bad_certificate', message }, String(message));
  refused({ keyPem: await generateKeyPem() }, /key does not belong/);
  refused({ keyPem: 'no key' }, /key cannot be read/);
  refused({ host: 'other.example.com' }, /names shop\.example\.com/);
  refused({ now: now + 91 * dayMs }, /expired/);
  refused({ now: now - dayMs }, /not valid before/);
  refused({ chain: '' }, /no certificate/);
  refused({ chain: chain.replace(/\n.{20}/, '\nAAAA') }, /cannot be read/);
  const stranger = await createAuthority({ now });
  refused({ chain: chain + stranger.certificate }, /not signed by/);
  refused({ chain: chain + chain }, /not signed by/);
});

t.test('splits a chain into its certificates, whatever stands between them', async (t) => {
  const parts = splitChain(`subject=/CN=x\n${chain}\r\n\n# root\n${authority.certificate}`);
  t.same(
    parts.map((pem) => new X509Certificate(pem).fingerprint256),
    [chain, authority.certificate].map((pem) => new X509Certificate(pem).fingerprint256),
  );
});
