import { createPrivateKey, X509Certificate } from 'node:crypto';
import { AppError } from '@lockstep/contract';

export interface CertificateFacts {
  serialNumber: string;
  fingerprint256: string;
  /** ISO 8601. */
  notBefore: string;
  notAfter: string;
  issuerName: string;
  subjectAltNames: string[];
}

export interface CheckChainOptions {
  /** PEM, leaf first. */
  chain: string;
  /** PKCS#8 PEM. */
  keyPem: string;
  host: string;
  /** Milliseconds since 1970. */
  now: number;
}

const pemCertificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The certificates of a PEM chain, in their order. */
export function splitChain(pem: string): string[] {
  return pem.match(pemCertificate) ?? [];
}

/**
 * Checks that a chain can be served for a host: it parses, the key is the leaf's, the leaf names the host and is valid now, and
 * each certificate is signed by the next. Whether a client trusts the last is the client's to say. Throws `bad_certificate`.
 */
export function checkChain({ chain, keyPem, host, now }: CheckChainOptions): CertificateFacts {
  const certificates = splitChain(chain).map(parse);
  const [leaf] = certificates;
  if (leaf === undefined) throw bad('the chain holds no certificate');
  if (!leaf.checkPrivateKey(parseKey(keyPem))) throw bad('the key does not belong to the certificate');
  const subjectAltNames = namesOf(leaf);
  if (!subjectAltNames.includes(host) && leaf.checkHost(host, { subject: 'never' }) === undefined) {
    throw bad(`the certificate does not name "${host}"; it names ${subjectAltNames.join(', ') || 'nothing'}`);
  }
  for (const [index, certificate] of certificates.entries()) {
    checkDates(certificate, now);
    const issuer = certificates[index + 1];
    if (issuer === undefined) continue;
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
      throw bad(`certificate ${index + 1} of the chain is not signed by the one after it`);
    }
  }
  return {
    serialNumber: leaf.serialNumber.toLowerCase(),
    fingerprint256: leaf.fingerprint256,
    notBefore: leaf.validFromDate.toISOString(),
    notAfter: leaf.validToDate.toISOString(),
    issuerName: leaf.issuer,
    subjectAltNames,
  };
}

function parse(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw bad('a certificate of the chain cannot be read', cause);
  }
}

function parseKey(keyPem: string) {
  try {
    return createPrivateKey(keyPem);
  } catch {
    throw bad('the key cannot be read'); // without the cause: it may quote the key
  }
}

function namesOf(leaf: X509Certificate): string[] {
  return [...(leaf.subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map(
    ([, name]) => name?.toLowerCase() ?? '',
  );
}

function checkDates({ validFromDate, validToDate }: X509Certificate, now: number): void {
  if (validFromDate.getTime() > now)
    throw bad(`a certificate of the chain is not valid before ${validFromDate.toISOString()}`);
  if (validToDate.getTime() <= now)
    throw bad(`a certificate of the chain expired at ${validToDate.toISOString()}`);
}

function bad(detail: string, cause?: unknown): AppError {
  return new AppError('bad_certificate', detail, { cause });
}
