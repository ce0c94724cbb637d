import { createHash, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import {
  bitString,
  boolean,
  contentsOf,
  der,
  elementsOf,
  explicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  time,
} from './der.ts';

const signInThread = promisify(sign);

export interface Signer {
  privateKey: KeyObject;
  digest: 'sha256' | 'sha384';
  /** DER of the AlgorithmIdentifier. */
  algorithm: Buffer;
}

/** What is signed. Names, key and extensions are DER; dates milliseconds since 1970, the serial number hexadecimal. */
interface CertificateParts {
  serialNumber: string;
  issuer: Buffer;
  notBefore: number;
  notAfter: number;
  subject: Buffer;
  publicKey: Buffer;
  extensions: Buffer[];
}

/** DER of a certificate (RFC 5280, section 4.1). The signature is made beside the thread that answers everybody. */
export async function signCertificate(
  { privateKey, digest, algorithm }: Signer,
  { serialNumber, issuer, notBefore, notAfter, subject, publicKey, extensions }: CertificateParts,
): Promise<Buffer> {
  const toBeSigned = sequence(
    explicit(0, integer(Uint8Array.of(2))), // version 3
    integer(Buffer.from(serialNumber, 'hex')),
    algorithm,
    issuer,
    sequence(time(notBefore), time(notAfter)),
    subject,
    publicKey,
    explicit(3, sequence(...extensions)),
  );
  const signature = await signInThread(digest, toBeSigned, privateKey);
  return sequence(toBeSigned, algorithm, bitString(signature));
}

/** How a key signs: RSA or ECDSA, on P-256 or P-384. */
export function signatureOf({
  asymmetricKeyType,
  asymmetricKeyDetails,
}: KeyObject): Omit<Signer, 'privateKey'> {
  if (asymmetricKeyType === 'rsa') {
    const sha256WithRsa = objectIdentifier('2a864886f70d01010b');
    return { digest: 'sha256', algorithm: sequence(sha256WithRsa, der(0x05)) };
  }
  switch (asymmetricKeyDetails?.namedCurve) {
    case 'prime256v1':
      return { digest: 'sha256', algorithm: sequence(objectIdentifier('2a8648ce3d040302')) };
    case 'secp384r1':
      return { digest: 'sha384', algorithm: sequence(objectIdentifier('2a8648ce3d040303')) };
  }
  throw new TypeError('a key is RSA, or ECDSA on P-256 or P-384');
}

export function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const parts = critical ? [boolean(true)] : [];
  return sequence(objectIdentifier(id), ...parts, octetString(value));
}

/** SHA-1 of the key itself, without what says of which kind it is (RFC 5280, section 4.2.1.2, method 1). */
export function keyIdOf(publicKey: Buffer): Buffer {
  const [, bits = Buffer.alloc(0)] = elementsOf(publicKey);
  const { from, to } = contentsOf(bits);
  return createHash('sha1')
    .update(bits.subarray(from + 1, to))
    .digest();
}

export function toPem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g)!;
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
