import { createHash } from 'node:crypto';
import { addressOfHost, octetsOf } from '@lockstep/contract';
import type { CertificateFacts } from './certificate-check.ts';
import { der, elementsOf, objectIdentifier, octetString, sequence } from './der.ts';
import { createSerialNumber } from './serial-number.ts';
import { extension, keyIdOf, type Signer, signCertificate, toPem } from './signed-certificate.ts';

const rsaEncryption = objectIdentifier('2a864886f70d010101');
const serverAuth = objectIdentifier('2b06010505070301');

/** Signs leaves in the name of a root. */
export interface LeafSigner extends Signer {
  /** DER of the root's subject, and the same in words. */
  issuer: Buffer;
  issuerName: string;
  /** The root's subject key identifier. */
  keyId: Buffer;
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
  const certificate = await signCertificate(signer, {
    serialNumber,
    issuer: signer.issuer,
    notBefore,
    notAfter,
    subject: sequence(), // none: the name stands in the SAN
    publicKey,
    extensions: extensions(host, publicKey, signer),
  });
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
    extension('551d11', true, sequence(generalName(host))),
    extension('551d0e', false, octetString(keyIdOf(publicKey))),
    extension('551d23', false, sequence(der(0x80, keyId))),
  ];
}

/** RFC 5280, section 4.2.1.6: an address is its octets. */
function generalName(host: string): Buffer {
  const address = addressOfHost(host);
  return address === null ? der(0x82, Buffer.from(host, 'ascii')) : der(0x87, octetsOf(address));
}

/** An RSA key may also be asked to decrypt: TLS 1.2 without forward secrecy does (RFC 5246, section 7.4.2). */
function keyUsageOf(publicKey: Buffer): Buffer {
  const isRsa = publicKey.subarray(0, 32).includes(rsaEncryption);
  return isRsa ? der(0x03, Uint8Array.of(5, 0b1010_0000)) : der(0x03, Uint8Array.of(7, 0b1000_0000));
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
