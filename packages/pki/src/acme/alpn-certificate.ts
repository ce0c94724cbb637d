import { createHash, webcrypto } from 'node:crypto';
import { generateKeyPem } from '../certificates/key-pair.ts';
import { createSerialNumber } from '../certificates/serial-number.ts';
import { altNameOf } from '../certificates/subject-alt-name.ts';
import { importKeyPair } from '../certificates/web-crypto-key.ts';
import { asn1, x509 } from '../shared/at-first-use.ts';

const acmeIdentifier = '1.3.6.1.5.5.7.1.31';
const backdateMs = 3_600_000;
/** No order lasts longer. */
const lifetimeMs = 30 * 86_400_000;

export interface AlpnCertificateOptions {
  host: string;
  keyAuthorization: string;
  /** Milliseconds since 1970. */
  now?: number;
}

/** The self-signed certificate that answers tls-alpn-01 (RFC 8737, section 3), with a key of its own as PKCS#8 PEM. */
export async function createAlpnCertificate({
  host,
  keyAuthorization,
  now = Date.now(),
}: AlpnCertificateOptions): Promise<{ certificate: string; keyPem: string }> {
  const { AsnConvert, OctetString } = asn1();
  const { Extension, SubjectAlternativeNameExtension, X509CertificateGenerator } = x509();
  const keyPem = await generateKeyPem();
  const digest = createHash('sha256').update(keyAuthorization).digest();
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: createSerialNumber(),
      name: [{ CN: ['ACME challenge'] }],
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(now + lifetimeMs),
      ...(await importKeyPair(keyPem)),
      extensions: [
        new SubjectAlternativeNameExtension([altNameOf(host)]),
        new Extension(acmeIdentifier, true, AsnConvert.serialize(new OctetString(digest))),
      ],
    },
    webcrypto as Crypto,
  );
  return { certificate: `${certificate.toString('pem')}\n`, keyPem };
}
