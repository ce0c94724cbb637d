import { createPrivateKey, createPublicKey } from 'node:crypto';
import { der } from './der.ts';
import { noName, publicKeyInfo, signed, subjectAltName } from './x509-parts.ts';

export interface CsrOptions {
  /** PKCS#8 PEM, P-256. */
  keyPem: string;
  host: string;
}

/** A certificate signing request (RFC 2986) as DER. */
export async function createCsr({ keyPem, host }: CsrOptions): Promise<Buffer> {
  const key = createPrivateKey(keyPem);
  const extensionRequest = der.sequence(
    der.objectIdentifier('1.2.840.113549.1.9.14'),
    der.set(der.sequence(subjectAltName(host, false))),
  );
  const version = der.integer(Buffer.of(0));
  const info = [version, noName, publicKeyInfo(createPublicKey(key)), der.tagged(0, extensionRequest)];
  return signed(der.sequence(...info), key);
}
