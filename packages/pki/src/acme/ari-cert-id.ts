import { AppError } from '@lockstep/contract';
import { readCertificates } from '../certificates/certificate-check.ts';
import { asn1, asn1X509 } from '../shared/at-first-use.ts';

/** How renewal information and `replaces` call a certificate (RFC 9773, section 4.1). Of a chain, the leaf is meant. */
export function ariCertId(chainPem: string): string {
  const { AsnConvert } = asn1();
  const { AuthorityKeyIdentifier, Certificate, id_ce_authorityKeyIdentifier } = asn1X509();
  const { tbsCertificate } = AsnConvert.parse(readCertificates(chainPem)[0]!.raw, Certificate);
  const extension = tbsCertificate.extensions?.find(({ extnID }) => extnID === id_ce_authorityKeyIdentifier);
  const keyId =
    extension && AsnConvert.parse(extension.extnValue.buffer, AuthorityKeyIdentifier).keyIdentifier?.buffer;
  if (keyId === undefined)
    throw new AppError('bad_certificate', 'the certificate does not say which key signed it');
  // The content of its DER INTEGER, with the 00 that keeps it positive.
  const serial = tbsCertificate.serialNumber;
  return [keyId, serial].map((bytes) => Buffer.from(bytes).toString('base64url')).join('.');
}
