import type { KeyObject } from 'node:crypto';
import {
  bitString,
  boolean,
  der,
  explicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  time,
} from './der.ts';
import { extension, keyIdOf, signatureOf, signInThread, toPem } from './leaf-certificate.ts';
import { createSerialNumber } from './serial-number.ts';

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
  const { digest, algorithm } = signatureOf(privateKey);
  const utf8 = der(0x0c, Buffer.from(commonName));
  const name = sequence(der(0x31, sequence(objectIdentifier('550403'), utf8)));
  const toBeSigned = sequence(
    explicit(0, integer(Uint8Array.of(2))), // version 3
    integer(Buffer.from(createSerialNumber(), 'hex')),
    algorithm,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    publicKey,
    explicit(
      3,
      sequence(
        // Basic constraints: a CA, with no other below it.
        extension('551d13', true, sequence(boolean(true), integer(Uint8Array.of(0)))),
        extension('551d0f', true, der(0x03, Uint8Array.of(1, 0b0000_0110))), // keyCertSign and cRLSign
        extension('551d0e', false, octetString(keyIdOf(publicKey))),
      ),
    ),
  );
  const signature = await signInThread(digest, toBeSigned, privateKey);
  return toPem(sequence(toBeSigned, algorithm, bitString(signature)));
}
