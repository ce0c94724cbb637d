import { createPrivateKey, createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import type { CertificateFacts } from './certificate-check.ts';
import { generateKeyPem } from './key-pair.ts';
import { createLeaf, type LeafSigner, subjectOf } from './leaf-certificate.ts';
import { createRoot } from './root-certificate.ts';
import { keyIdOf, signatureOf } from './signed-certificate.ts';

const rootLifetimeMs = 10 * 365 * 86_400_000;
/** Clocks of clients may be behind. */
const backdateMs = 3_600_000;

/** The internal CA: its root certificate as PEM, and its key as PKCS#8 PEM. */
export interface Authority {
  certificate: string;
  keyPem: string;
}

export interface IssueOptions {
  authority: Authority;
  /** Exact or `*.name`. */
  host: string;
  /** DER of the SubjectPublicKeyInfo of the certificate's own key. */
  publicKey: Buffer;
  lifetimeMs: number;
  /** Milliseconds since 1970. */
  now: number;
}

/** A PEM chain, and what is in its leaf. */
export interface IssuedLeaf {
  chain: string;
  facts: CertificateFacts;
}

interface Signer extends LeafSigner {
  notBefore: number;
  notAfter: number;
}

const signers = new WeakMap<Authority, Signer>();

/** A new internal CA, good for ten years. */
export async function createAuthority({ now = Date.now() }: { now?: number } = {}): Promise<Authority> {
  const keyPem = await generateKeyPem();
  const certificate = await createRoot({
    commonName: `Lockstep internal CA ${randomBytes(4).toString('hex')}`,
    privateKey: createPrivateKey(keyPem),
    publicKey: createPublicKey(keyPem).export({ type: 'spki', format: 'der' }),
    notBefore: now - backdateMs,
    notAfter: now + rootLifetimeMs,
  });
  return { certificate, keyPem };
}

/** A server certificate signed by the internal CA: the leaf alone, since clients have the root. */
export async function issueLeaf({
  authority,
  host,
  publicKey,
  lifetimeMs,
  now,
}: IssueOptions): Promise<IssuedLeaf> {
  const signer = signerOf(authority);
  const { certificate, facts } = await createLeaf({
    signer,
    host,
    publicKey,
    notBefore: Math.max(now - backdateMs, signer.notBefore),
    notAfter: Math.min(now + lifetimeMs, signer.notAfter),
  });
  return { chain: certificate, facts };
}

/** The same as PEM, for a key that is at hand as PKCS#8 PEM. */
export async function issueCertificate({
  keyPem,
  ...options
}: Omit<IssueOptions, 'publicKey'> & { keyPem: string }): Promise<string> {
  const publicKey = createPublicKey(keyPem).export({ type: 'spki', format: 'der' });
  return (await issueLeaf({ ...options, publicKey })).chain;
}

function signerOf(authority: Authority): Signer {
  const known = signers.get(authority);
  if (known !== undefined) return known;
  const signer = createSigner(authority);
  signers.set(authority, signer);
  return signer;
}

function createSigner({ certificate, keyPem }: Authority): Signer {
  const root = new X509Certificate(certificate);
  const privateKey = createPrivateKey(keyPem);
  return {
    ...signatureOf(privateKey),
    privateKey,
    issuer: subjectOf(root.raw),
    issuerName: root.subject,
    keyId: keyIdOf(root.publicKey.export({ type: 'spki', format: 'der' })),
    notBefore: root.validFromDate.getTime(),
    notAfter: root.validToDate.getTime(),
  };
}
