import { randomBytes, webcrypto } from 'node:crypto';
import type { AuthorityKeyIdentifierExtension, KeyUsageFlags, X509Certificate } from '@peculiar/x509';
import { x509 } from './at-first-use.ts';
import { generateKeyPem } from './key-pair.ts';
import { createSerialNumber } from './serial-number.ts';
import { importKeyPair, importPublicKey, type SigningAlgorithm } from './web-crypto-key.ts';

const rootLifetimeMs = 10 * 365 * 86_400_000;
/** Clocks of clients may be behind. */
const backdateMs = 3_600_000;
const crypto = webcrypto as Crypto;

/** The internal CA: its root certificate as PEM, and its key as PKCS#8 PEM. */
export interface Authority {
  certificate: string;
  keyPem: string;
}

export interface IssueOptions {
  authority: Authority;
  /** Exact or `*.name`. */
  host: string;
  /** The certificate's own key, PKCS#8 PEM. */
  keyPem: string;
  lifetimeMs: number;
  /** Milliseconds since 1970. */
  now: number;
}

interface Signer {
  root: X509Certificate;
  privateKey: webcrypto.CryptoKey;
  signingAlgorithm: SigningAlgorithm;
  authorityKeyIdentifier: AuthorityKeyIdentifierExtension;
}

const signers = new WeakMap<Authority, Promise<Signer>>();

/** A new internal CA, good for ten years. */
export async function createAuthority({ now = Date.now() }: { now?: number } = {}): Promise<Authority> {
  const {
    BasicConstraintsExtension,
    KeyUsageFlags,
    KeyUsagesExtension,
    SubjectKeyIdentifierExtension,
    X509CertificateGenerator,
  } = x509();
  const keyPem = await generateKeyPem();
  const { keys, signingAlgorithm } = await importKeyPair(keyPem);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: createSerialNumber(),
      name: [{ CN: [`Lockstep internal CA ${randomBytes(4).toString('hex')}`] }],
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(now + rootLifetimeMs),
      keys,
      signingAlgorithm,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  return { certificate: `${certificate.toString('pem')}\n`, keyPem };
}

/** A server certificate signed by the internal CA, as a PEM chain: the leaf alone, since clients have the root. */
export async function issueCertificate({
  authority,
  host,
  keyPem,
  lifetimeMs,
  now,
}: IssueOptions): Promise<string> {
  const {
    BasicConstraintsExtension,
    ExtendedKeyUsage,
    ExtendedKeyUsageExtension,
    KeyUsagesExtension,
    SubjectAlternativeNameExtension,
    SubjectKeyIdentifierExtension,
    X509CertificateGenerator,
  } = x509();
  const { root, privateKey, signingAlgorithm, authorityKeyIdentifier } = await signerOf(authority);
  const publicKey = await importPublicKey(keyPem);
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: createSerialNumber(),
      issuer: root.subjectName,
      notBefore: new Date(Math.max(now - backdateMs, root.notBefore.getTime())),
      notAfter: new Date(Math.min(now + lifetimeMs, root.notAfter.getTime())),
      signingKey: privateKey,
      publicKey,
      signingAlgorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(keyUsageOf(publicKey), true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        // Critical, since the subject is empty (RFC 5280, section 4.2.1.6).
        new SubjectAlternativeNameExtension([{ type: 'dns', value: host }], true),
        await SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
        authorityKeyIdentifier,
      ],
    },
    crypto,
  );
  return `${certificate.toString('pem')}\n`;
}

function signerOf(authority: Authority): Promise<Signer> {
  const known = signers.get(authority);
  if (known !== undefined) return known;
  const signer = createSigner(authority);
  signers.set(authority, signer);
  return signer;
}

async function createSigner({ certificate, keyPem }: Authority): Promise<Signer> {
  const { AuthorityKeyIdentifierExtension, X509Certificate } = x509();
  const root = new X509Certificate(certificate);
  const { keys, signingAlgorithm } = await importKeyPair(keyPem);
  const authorityKeyIdentifier = await AuthorityKeyIdentifierExtension.create(keys.publicKey, false, crypto);
  return { root, privateKey: keys.privateKey, signingAlgorithm, authorityKeyIdentifier };
}

/** An RSA key may also be asked to decrypt: TLS 1.2 without forward secrecy does (RFC 5246, section 7.4.2). */
function keyUsageOf({ algorithm }: webcrypto.CryptoKey): KeyUsageFlags {
  const { digitalSignature, keyEncipherment } = x509().KeyUsageFlags;
  return algorithm.name === 'ECDSA' ? digitalSignature : digitalSignature | keyEncipherment;
}
