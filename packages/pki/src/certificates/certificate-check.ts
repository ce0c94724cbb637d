import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { AppError, hostOfAddress } from '@lockstep/contract';
import { x509 } from '../shared/at-first-use.ts';

const pemCertificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
const pemPrivateKey = /-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----[\s\S]+?-----END \1PRIVATE KEY-----/;
const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';
const anyExtendedKeyUsage = '2.5.29.37.0';

export interface CertificateFacts {
  serialNumber: string;
  fingerprint256: string;
  /** ISO 8601. */
  notBefore: string;
  notAfter: string;
  issuerName: string;
  subjectAltNames: string[];
}

/** The certificates of a PEM chain, in their order. */
export function splitChain(pem: string): string[] {
  return pem.match(pemCertificate) ?? [];
}

export function readCertificates(pem: string): X509Certificate[] {
  const certificates = splitChain(pem).map((certificate) => {
    try {
      return new X509Certificate(certificate);
    } catch (cause) {
      throw badCertificate('a certificate of the chain cannot be read', cause);
    }
  });
  if (certificates.length === 0) throw badCertificate('the chain holds no certificate');
  return certificates;
}

/** PKCS#8, PKCS#1 (RSA) or SEC 1 (EC), as PEM. What cannot be read is told without a cause: that may quote the key. */
export function readKey(pem: string): KeyObject {
  const [block] = pemPrivateKey.exec(pem) ?? [];
  if (block === undefined) throw badCertificate('the key cannot be read: there is no PEM private key');
  if (/BEGIN ENCRYPTED |Proc-Type: 4,ENCRYPTED/.test(block))
    throw badCertificate('the key is encrypted; give it without a passphrase');
  try {
    return createPrivateKey(block);
  } catch {
    throw badCertificate('the key cannot be read');
  }
}

/** All that a certificate is for, as hosts: names, in lower case, and IP addresses. A common name alone does not count (RFC 9525, section 2). */
export function altNamesOf(certificate: X509Certificate): string[] {
  const { SubjectAlternativeNameExtension, X509Certificate: X509 } = x509();
  const san = new X509(certificate.raw).getExtension(SubjectAlternativeNameExtension);
  const names = san?.names.items ?? [];
  return [
    ...names.flatMap(({ type, value }) => (type === 'dns' ? [value.toLowerCase()] : [])),
    ...names.flatMap(({ type, value }) => (type === 'ip' ? (hostOfAddress(value) ?? []) : [])),
  ];
}

export function factsOf(leaf: X509Certificate): CertificateFacts {
  return {
    serialNumber: leaf.serialNumber.toLowerCase(),
    fingerprint256: leaf.fingerprint256,
    notBefore: leaf.validFromDate.toISOString(),
    notAfter: leaf.validToDate.toISOString(),
    issuerName: leaf.issuer,
    subjectAltNames: altNamesOf(leaf),
  };
}

/** Whether `issuer` signed `certificate`, and says that it did. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function isFor(leaf: X509Certificate, usage: string): boolean {
  // For an X509Certificate, Node calls the extended key usage `keyUsage`.
  const usages = leaf.keyUsage as string[] | undefined;
  return usages === undefined || usages.includes(usage) || usages.includes(anyExtendedKeyUsage);
}

/** Whether it says that it is shown to servers, as an edge shows it to upstreams, and by none. */
export function isForClientsAlone(leaf: X509Certificate): boolean {
  return isFor(leaf, clientAuth) && !isFor(leaf, serverAuth);
}

/**
 * Checks that a chain, leaf first, can be served with a key: the key is the leaf's, the leaf is a server's and no CA's, each
 * certificate is valid now and signed by the next, which may sign. Whether a client trusts the last is the client's to say.
 */
export function checkServable(certificates: readonly X509Certificate[], key: KeyObject, now: number): void {
  checkLinks(certificates, key, now);
  if (!isFor(certificates[0]!, serverAuth))
    throw badCertificate('the certificate is not for servers: its extended key usage leaves serverAuth out');
}

/** The same without a look at what it is for. */
export function checkLinks(certificates: readonly X509Certificate[], key: KeyObject, now: number): void {
  const [leaf] = certificates;
  if (leaf === undefined) throw badCertificate('the chain holds no certificate');
  if (!leaf.checkPrivateKey(key)) throw badCertificate('the key does not belong to the certificate');
  if (leaf.ca) throw badCertificate('the certificate is a CA’s, which clients refuse as a server’s');
  for (const [index, certificate] of certificates.entries()) {
    checkDates(certificate, now);
    const issuer = certificates[index + 1];
    if (issuer === undefined) continue;
    if (!isIssuedBy(certificate, issuer))
      throw badCertificate(`certificate ${index + 1} of the chain is not signed by the one after it`);
    if (!issuer.ca) throw badCertificate(`certificate ${index + 2} of the chain is not a CA’s`);
  }
}

export function badCertificate(detail: string, cause?: unknown): AppError {
  return new AppError('bad_certificate', detail, { cause });
}

function checkDates({ validFromDate, validToDate }: X509Certificate, now: number): void {
  if (validFromDate.getTime() > now)
    throw badCertificate(`a certificate of the chain is not valid before ${validFromDate.toISOString()}`);
  if (validToDate.getTime() <= now)
    throw badCertificate(`a certificate of the chain expired at ${validToDate.toISOString()}`);
}
