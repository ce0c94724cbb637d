import { createHash, type KeyObject, sign } from 'node:crypto';
import { der, readDer } from './der.ts';

export const signatureAlgorithm = der.sequence(der.objectIdentifier('1.2.840.10045.4.3.2'));

/** A certificate or request signed with a P-256 key: ECDSA with SHA-256 (RFC 5758, section 3.2). */
export function signed(toBeSigned: Buffer, key: KeyObject): Buffer {
  return der.sequence(toBeSigned, signatureAlgorithm, der.bitString(sign('sha256', toBeSigned, key)));
}

export function commonName(text: string): Buffer {
  return der.sequence(der.set(der.sequence(der.objectIdentifier('2.5.4.3'), der.utf8String(text))));
}

/** Hosts stand in the SAN alone: a common name holds no more than 64 characters. */
export const noName = der.sequence();

export function extension(id: string, value: Buffer, critical = false): Buffer {
  return der.sequence(
    der.objectIdentifier(id),
    ...(critical ? [der.boolean(true)] : []), // DER leaves a default out
    der.octetString(value),
  );
}

/** In a certificate critical, where its subject is empty (RFC 5280, section 4.2.1.6). */
export function subjectAltName(host: string, critical: boolean): Buffer {
  return extension('2.5.29.17', der.sequence(der.implicit(2, Buffer.from(host))), critical);
}

export function publicKeyInfo(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' });
}

/** SHA-1 of the key's bits, as most authorities name keys (RFC 5280, section 4.2.1.2, method 1). */
export function keyIdentifier(publicKey: KeyObject): Buffer {
  const [info] = readDer(publicKeyInfo(publicKey));
  const [, bits] = readDer(info!.content);
  return createHash('sha1').update(bits!.content.subarray(1)).digest();
}

/** The subject of a certificate that OpenSSL has read, as it stands there. */
export function subjectOf(certificate: Buffer): Buffer {
  const [outer] = readDer(certificate);
  const [toBeSigned] = readDer(outer!.content);
  // version [0], serialNumber, signature, issuer, validity, subject (RFC 5280, section 4.1): version 3 in all we meet.
  return readDer(toBeSigned!.content)[5]!.raw;
}
