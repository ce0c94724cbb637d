import type { KeyObject } from 'node:crypto';
import { boolean, der, integer, objectIdentifier, octetString, sequence } from './der.ts';
import { createSerialNumber } from './serial-number.ts';
import { extension, keyIdOf, signatureOf, signCertificate, toPem } from './signed-certificate.ts';

export interface RootOptions {
  commonName: string;
  privateKey: KeyObject;
  /** DER of the SubjectPublicKeyInfo. */
  publicKey: Buffer;
  /** Milliseconds since 1970. */
  notBefore: number;
  notAfter: number;
}

/** The self-signed certificate of a CA that signs servers' certificates and lists of revoked ones, as PEM (RFC 5280). */
export async function createRoot(options: RootOptions): Promise<string> {
  const { commonName, privateKey, publicKey, notBefore, notAfter } = options;
  const utf8 = der(0x0c, Buffer.from(commonName));
  const name = sequence(der(0x31, sequence(objectIdentifier('550403'), utf8)));
  const certificate = await signCertificate(
    { privateKey, ...signatureOf(privateKey) },
    {
      serialNumber: createSerialNumber(),
      issuer: name,
      notBefore,
      notAfter,
      subject: name,
      publicKey,
      extensions: [
        // Basic constraints: a CA, with no other below it.
        extension('551d13', true, sequence(boolean(true), integer(Uint8Array.of(0)))),
        extension('551d0f', true, der(0x03, Uint8Array.of(1, 0b0000_0110))), // keyCertSign and cRLSign
        extension('551d0e', false, octetString(keyIdOf(publicKey))),
      ],
    },
  );
  return toPem(certificate);
}
