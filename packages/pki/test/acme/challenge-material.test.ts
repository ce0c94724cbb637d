// @peculiar/x509 looks for its classes through this, and has to find it loaded.
import 'reflect-metadata';
import { createHash, X509Certificate } from 'node:crypto';
import { AuthorityKeyIdentifierExtension, X509Certificate as X509 } from '@peculiar/x509';
import t from 'tap';
import {
  ariCertId,
  createAlpnCertificate,
  createAuthority,
  dnsChallengeValue,
  generateKeyPem,
  issueCertificate,
} from '../../src/index.ts';

// RFC 9773, appendix A.
const example = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----`;

t.test(
  'the id for renewal information is the RFC’s for its example, with the 00 of the serial number',
  async (t) => {
    t.equal(ariCertId(example), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
  },
);

t.test('the id is the leaf’s: its issuer’s key, its serial number', async (t) => {
  const authority = await createAuthority();
  const keyPem = await generateKeyPem();
  const options = { authority, host: 'a.example.com', keyPem, lifetimeMs: 86_400_000, now: Date.now() };
  const chain = (await issueCertificate(options)) + authority.certificate;
  const { keyId } = new X509(chain).getExtension(AuthorityKeyIdentifierExtension)!;
  const [key, serial] = ariCertId(chain).split('.');
  t.equal(Buffer.from(key!, 'base64url').toString('hex'), keyId);
  t.equal(
    Buffer.from(serial!, 'base64url').toString('hex'),
    new X509Certificate(chain).serialNumber.toLowerCase(),
  );
});

t.test('a certificate that does not say which key signed it has no id, nor has no certificate', async (t) => {
  const { certificate } = await createAlpnCertificate({ host: 'a.example.com', keyAuthorization: 'x' });
  t.throws(() => ariCertId(certificate), { code: 'bad_certificate', message: /which key signed it/ });
  t.throws(() => ariCertId(''), { code: 'bad_certificate' });
});

t.test('the value for dns-01 is the unpadded SHA-256 of the key authorization', async (t) => {
  // base64url of the SHA-256 of "abc" (FIPS 180-4).
  t.equal(dnsChallengeValue('abc'), 'ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0');
});

t.test('the certificate for tls-alpn-01 is as RFC 8737 wants it', async (t) => {
  const host = 'shop.example.com';
  const keyAuthorization = 'token.thumbprint';
  const now = Date.parse('2026-11-24T12:00:00Z');
  const { certificate, keyPem } = await createAlpnCertificate({ host, keyAuthorization, now });
  const parsed = new X509Certificate(certificate);
  t.ok(parsed.checkIssued(parsed) && parsed.verify(parsed.publicKey), 'self-signed');
  t.equal(parsed.subjectAltName, `DNS:${host}`, 'its host alone');
  t.ok(parsed.validFromDate.getTime() < now && parsed.validToDate.getTime() > now + 7 * 86_400_000);
  const identifier = new X509(certificate).getExtension('1.3.6.1.5.5.7.1.31');
  t.equal(identifier?.critical, true);
  const digest = createHash('sha256').update(keyAuthorization).digest();
  t.same(Buffer.from(identifier!.value), Buffer.concat([Buffer.from([0x04, 0x20]), digest]));
  t.match(keyPem, /^-----BEGIN PRIVATE KEY-----/);
  const other = await createAlpnCertificate({ host, keyAuthorization, now });
  t.not(other.keyPem, keyPem, 'each has a key of its own');
});
