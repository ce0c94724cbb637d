import { createHash } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import type { CertID } from '@peculiar/asn1-ocsp';
import type { OctetString } from '@peculiar/asn1-schema';
import { readCertificates } from '../certificates/certificate-check.ts';
import { asn1, asn1Ocsp, asn1X509 } from '../shared/at-first-use.ts';

const sha1 = '1.3.14.3.2.26';

/** What OCSP calls the leaf of a chain: SHA-1 is what every responder knows (RFC 5019, section 2.1.1). */
export function certIdOf(chain: string): CertID {
  const { AsnConvert } = asn1();
  const { AlgorithmIdentifier, Certificate } = asn1X509();
  const [leaf, issuer] = readCertificates(chain).map(({ raw }) => AsnConvert.parse(raw, Certificate));
  if (leaf === undefined || issuer === undefined)
    throw new AppError('issuer_failed', 'the chain ends with the leaf: OCSP needs its issuer');
  const { subject, subjectPublicKeyInfo } = issuer.tbsCertificate;
  return new (asn1Ocsp().CertID)({
    hashAlgorithm: new AlgorithmIdentifier({ algorithm: sha1, parameters: null }),
    issuerNameHash: digest(AsnConvert.serialize(subject)),
    issuerKeyHash: digest(subjectPublicKeyInfo.subjectPublicKey),
    serialNumber: leaf.tbsCertificate.serialNumber,
  });
}

/** Without a nonce, so that responders can answer from a cache (RFC 5019, section 2.1.1). DER. */
export function createOcspRequest(reqCert: CertID): Buffer {
  const { OCSPRequest, Request, TBSRequest } = asn1Ocsp();
  const tbsRequest = new TBSRequest({ requestList: [new Request({ reqCert })] });
  return Buffer.from(asn1().AsnConvert.serialize(new OCSPRequest({ tbsRequest })));
}

/** Whether two ids mean the same certificate. Parameters of the hash do not matter: some leave them out. */
export function isSameCertId(one: CertID, other: CertID): boolean {
  return (
    one.hashAlgorithm.algorithm === other.hashAlgorithm.algorithm &&
    isEqual(one.issuerNameHash.buffer, other.issuerNameHash.buffer) &&
    isEqual(one.issuerKeyHash.buffer, other.issuerKeyHash.buffer) &&
    isEqual(one.serialNumber, other.serialNumber)
  );
}

function isEqual(one: ArrayBuffer, other: ArrayBuffer): boolean {
  return Buffer.from(one).equals(Buffer.from(other));
}

function digest(data: ArrayBuffer): OctetString {
  return new (asn1().OctetString)(createHash('sha1').update(Buffer.from(data)).digest());
}
