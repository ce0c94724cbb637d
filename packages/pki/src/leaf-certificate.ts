import { createHash, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { CertificateFacts } from './certificate-check.ts';
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
import { createSerialNumber } from './serial-number.ts';

export const signInThread = promisify(sign);
const rsaEncryption = objectIdentifier('2a864886f70d010101');
const serverAuth = objectIdentifier('2b06010505070301');

/** Signs leaves in the name of a root. */
export interface LeafSigner {
  privateKey: KeyObject;
  digest: 'sha256' | 'sha384';
  /** DER of the AlgorithmIdentifier. */
  algorithm: Buffer;
  /** DER of the root's subject, and the same in words. */
  issuer: Buffer;
  issuerName: string;
  /** The root's subject key identifier. */
  keyId: Buffer;
}

/** How a key signs: RSA or ECDSA, on P-256 or P-384. */
export function signatureOf({
  asymmetricKeyType,
  asymmetricKeyDetails,
}: KeyObject): Pick<LeafSigner, 'digest' | 'algorithm'> {
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

export interface LeafOptions {
  signer: LeafSigner;
  /** Exact or `*.name`. */
  host: string;
  /** DER of the SubjectPublicKeyInfo. */
  publicKey: Buffer;
  /** Milliseconds since 1970. */
  notBefore: number;
  notAfter: number;
}

/**
 * A server certificate (RFC 5280), always of the same few parts. Written straight as DER: building it by way of objects for every part, and
 * reading it back to learn what has just been put in, costs ten times as much of the one thread that answers everybody.
 */
export async function createLeaf(
  options: LeafOptions,
): Promise<{ certificate: string; facts: CertificateFacts }> {
  const { signer, host, publicKey } = options;
  const serialNumber = createSerialNumber();
  const [notBefore, notAfter] = [options.notBefore, options.notAfter].map(
    (ms) => Math.floor(ms / 1_000) * 1_000,
  ) as [number, number];
  const toBeSigned = sequence(
    explicit(0, integer(Uint8Array.of(2))), // version 3
    integer(Buffer.from(serialNumber, 'hex')),
    signer.algorithm,
    signer.issuer,
    sequence(time(notBefore), time(notAfter)),
    sequence(), // no subject: the name stands in the SAN
    publicKey,
    explicit(3, sequence(...extensions(host, publicKey, signer))),
  );
  const signature = await signInThread(signer.digest, toBeSigned, signer.privateKey);
  const certificate = sequence(toBeSigned, signer.algorithm, bitString(signature));
  return {
    certificate: toPem(certificate),
    facts: {
      serialNumber,
      fingerprint256: fingerprintOf(certificate),
      notBefore: new Date(notBefore).toISOString(),
      notAfter: new Date(notAfter).toISOString(),
      issuerName: signer.issuerName,
      subjectAltNames: [host],
    },
  };
}

function extensions(host: string, publicKey: Buffer, { keyId }: LeafSigner): Buffer[] {
  return [
    extension('551d13', true, sequence()), // basic constraints: no CA
    extension('551d0f', true, keyUsageOf(publicKey)),
    extension('551d25', false, sequence(serverAuth)),
    // Critical, since the subject is empty (RFC 5280, section 4.2.1.6).
    extension('551d11', true, sequence(der(0x82, Buffer.from(host, 'ascii')))),
    extension('551d0e', false, octetString(keyIdOf(publicKey))),
    extension('551d23', false, sequence(der(0x80, keyId))),
  ];
}

export function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const parts = critical ? [boolean(true)] : [];
  return sequence(objectIdentifier(id), ...parts, octetString(value));
}

/** An RSA key may also be asked to decrypt: TLS 1.2 without forward secrecy does (RFC 5246, section 7.4.2). */
function keyUsageOf(publicKey: Buffer): Buffer {
  const isRsa = publicKey.subarray(0, 32).includes(rsaEncryption);
  return isRsa ? der(0x03, Uint8Array.of(5, 0b1010_0000)) : der(0x03, Uint8Array.of(7, 0b1000_0000));
}

/** SHA-1 of the key itself, without what says of which kind it is (RFC 5280, section 4.2.1.2, method 1). */
export function keyIdOf(publicKey: Buffer): Buffer {
  const [, bits = Buffer.alloc(0)] = elementsOf(publicKey);
  const { from, to } = contentsOf(bits);
  return createHash('sha1')
    .update(bits.subarray(from + 1, to))
    .digest();
}

/** DER of a certificate's subject: the fifth element after the version. */
export function subjectOf(certificate: Buffer): Buffer {
  const [toBeSigned = Buffer.alloc(0)] = elementsOf(certificate);
  return elementsOf(toBeSigned)[5] ?? Buffer.alloc(0);
}

function fingerprintOf(certificate: Buffer): string {
  const hex = createHash('sha256').update(certificate).digest('hex').toUpperCase();
  return hex.match(/../g)!.join(':');
}

export function toPem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g)!;
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
