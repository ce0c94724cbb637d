import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { der } from './der.ts';
import { generateKeyPem } from './key-pair.ts';
import {
  commonName,
  extension,
  keyIdentifier,
  noName,
  publicKeyInfo,
  signatureAlgorithm,
  signed,
  subjectAltName,
  subjectOf,
} from './x509-parts.ts';

const rootLifetimeMs = 10 * 365 * 86_400_000;
/** Clocks of clients may be behind. */
const backdateMs = 3_600_000;

/** The internal CA: its root certificate as PEM, and its key as PKCS#8 PEM. */
export interface Authority {
  certificate: string;
  keyPem: string;
}

/** A new internal CA, good for ten years. */
export async function createAuthority({ now = Date.now() }: { now?: number } = {}): Promise<Authority> {
  const keyPem = await generateKeyPem();
  const key = createPrivateKey(keyPem);
  const publicKey = createPublicKey(key);
  const name = commonName(`Lockstep internal CA ${randomBytes(4).toString('hex')}`);
  const certificate = certify({
    issuer: name,
    subject: name,
    notBefore: now - backdateMs,
    notAfter: now + rootLifetimeMs,
    publicKey,
    signingKey: key,
    extensions: [
      extension('2.5.29.19', der.sequence(der.boolean(true), der.integer(Buffer.of(0))), true), // CA, pathlen 0
      extension('2.5.29.15', der.bitString(Buffer.of(0b0000_0110), 1), true), // keyCertSign, cRLSign
      extension('2.5.29.14', der.octetString(keyIdentifier(publicKey))),
    ],
  });
  return { certificate, keyPem };
}

export interface IssueOptions {
  /** Its keys are kept with this object: pass the same one again. */
  authority: Authority;
  /** Exact or `*.name`. */
  host: string;
  /** The certificate's own key, PKCS#8 PEM. */
  keyPem: string;
  lifetimeMs: number;
  /** Milliseconds since 1970. */
  now: number;
}

// The same in every certificate.
const leafExtensions = [
  extension('2.5.29.19', der.sequence(), true), // no CA
  extension('2.5.29.15', der.bitString(Buffer.of(0b1000_0000), 7), true), // digitalSignature
  extension('2.5.29.37', der.sequence(der.objectIdentifier('1.3.6.1.5.5.7.3.1'))), // serverAuth
];

/**
 * A server certificate signed by the internal CA, as a PEM chain: the leaf alone, since clients have the root. It begins an hour ago
 * and ends with the root at the latest.
 */
export async function issueCertificate(options: IssueOptions): Promise<string> {
  const { authority, host, keyPem, lifetimeMs, now } = options;
  const signer = signerOf(authority);
  const publicKey = createPublicKey(keyPem);
  return certify({
    issuer: signer.name,
    subject: noName,
    notBefore: Math.max(now - backdateMs, signer.notBefore),
    notAfter: Math.min(now + lifetimeMs, signer.notAfter),
    publicKey,
    signingKey: signer.key,
    extensions: [
      ...leafExtensions,
      subjectAltName(host, true),
      extension('2.5.29.14', der.octetString(keyIdentifier(publicKey))),
      signer.authorityKeyIdentifier,
    ],
  });
}

interface Signer {
  name: Buffer;
  key: KeyObject;
  notBefore: number;
  notAfter: number;
  authorityKeyIdentifier: Buffer;
}

const signers = new WeakMap<Authority, Signer>();

function signerOf(authority: Authority): Signer {
  const known = signers.get(authority);
  if (known !== undefined) return known;
  const root = new X509Certificate(authority.certificate);
  const signer = {
    name: subjectOf(root.raw),
    key: createPrivateKey(authority.keyPem),
    notBefore: root.validFromDate.getTime(),
    notAfter: root.validToDate.getTime(),
    authorityKeyIdentifier: extension(
      '2.5.29.35',
      der.sequence(der.implicit(0, keyIdentifier(root.publicKey))),
    ),
  };
  signers.set(authority, signer);
  return signer;
}

interface CertificateContent {
  issuer: Buffer;
  subject: Buffer;
  notBefore: number;
  notAfter: number;
  publicKey: KeyObject;
  signingKey: KeyObject;
  extensions: Buffer[];
}

/** RFC 5280, section 4.1. */
function certify(content: CertificateContent): string {
  const toBeSigned = der.sequence(
    der.tagged(0, der.integer(Buffer.of(2))), // version 3
    der.integer(newSerialNumber()),
    signatureAlgorithm,
    content.issuer,
    der.sequence(der.time(content.notBefore), der.time(content.notAfter)),
    content.subject,
    publicKeyInfo(content.publicKey),
    der.tagged(3, der.sequence(...content.extensions)),
  );
  return new X509Certificate(signed(toBeSigned, content.signingKey)).toString();
}

/** 127 random bits, positive and never zero (RFC 5280, section 4.1.2.2). */
function newSerialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes;
}
