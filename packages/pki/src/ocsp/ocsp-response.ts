import { verify, X509Certificate } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import type { BasicOCSPResponse, CertID, OCSPResponse, SingleResponse } from '@peculiar/asn1-ocsp';
import { isIssuedBy } from '../certificates/certificate-check.ts';
import { asn1, asn1Ocsp } from '../shared/at-first-use.ts';
import { isSameCertId } from './ocsp-request.ts';

const basicResponse = '1.3.6.1.5.5.7.48.1.1';
const ocspSigning = '1.3.6.1.5.5.7.3.9';
/** Clocks of responders may be ahead. */
const skewMs = 300_000;
/** Without a nextUpdate "newer revocation information is available all the time" (RFC 6960, section 2.4): ask again soon. */
const withoutNextUpdateMs = 3_600_000;

/** Hashes by the signature algorithms that responders use; SHA-1 is no longer one (Baseline Requirements, section 7.1.3.2). */
const hashes: Record<string, string> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
};

export interface OcspAnswer {
  status: 'good' | 'revoked' | 'unknown';
  thisUpdate: Date;
  /** An hour after `thisUpdate` where the responder names none. */
  nextUpdate: Date;
}

/** Checks a response (RFC 6960, section 3.2) and reads what it says of a certificate. Throws `issuer_failed`. */
export function readOcspResponse(
  der: Buffer,
  { certId, issuer, now }: { certId: CertID; issuer: X509Certificate; now: number },
): OcspAnswer {
  const basic = parse(der);
  const single = basic.tbsResponseData.responses.find(({ certID }) => isSameCertId(certID, certId));
  if (single === undefined) throw failure('speaks of another certificate');
  checkSignature(basic, issuer, now);
  return { status: statusOf(single), ...timesOf(single, now) };
}

function parse(der: Buffer): BasicOCSPResponse {
  const { AsnConvert } = asn1();
  const { BasicOCSPResponse, OCSPResponse, OCSPResponseStatus } = asn1Ocsp();
  let response: OCSPResponse;
  try {
    response = AsnConvert.parse(der, OCSPResponse);
  } catch (cause) {
    throw failure('answered with something else than an OCSP response', cause);
  }
  const { responseStatus, responseBytes } = response;
  if (responseStatus !== OCSPResponseStatus.successful)
    throw failure(`answered "${OCSPResponseStatus[responseStatus] ?? responseStatus}"`);
  if (responseBytes?.responseType !== basicResponse)
    throw failure('answered with an unknown type of response');
  try {
    return AsnConvert.parse(responseBytes.response.buffer, BasicOCSPResponse);
  } catch (cause) {
    throw failure('answered with a response that cannot be read', cause);
  }
}

/** By the issuer itself, or by a responder that it certified for this (section 4.2.2.2). */
function checkSignature(basic: BasicOCSPResponse, issuer: X509Certificate, now: number): void {
  const { AsnConvert } = asn1();
  const hash = hashes[basic.signatureAlgorithm.algorithm];
  if (hash === undefined)
    throw failure(
      `signs with an algorithm that is not known or too weak (${basic.signatureAlgorithm.algorithm})`,
    );
  const signed = Buffer.from(basic.tbsResponseDataRaw ?? AsnConvert.serialize(basic.tbsResponseData));
  const signature = Buffer.from(basic.signature);
  const isSignedBy = ({ publicKey }: X509Certificate) => verify(hash, signed, publicKey, signature);
  if (isSignedBy(issuer)) return;
  const enclosed = (basic.certs ?? []).map(
    (certificate) => new X509Certificate(Buffer.from(AsnConvert.serialize(certificate))),
  );
  const signer = enclosed.find(isSignedBy);
  if (signer === undefined) throw failure('gives no certificate that its signature fits');
  if (!isIssuedBy(signer, issuer) || !signer.keyUsage?.includes(ocspSigning))
    throw failure('signs with a certificate that the issuer did not make for OCSP');
  if (signer.validFromDate.getTime() > now + skewMs || signer.validToDate.getTime() <= now)
    throw failure('signs with a certificate that is not valid now');
}

function statusOf({ certStatus }: SingleResponse): OcspAnswer['status'] {
  if (certStatus.revoked !== undefined) return 'revoked';
  return certStatus.good === undefined ? 'unknown' : 'good';
}

function timesOf({ thisUpdate, nextUpdate }: SingleResponse, now: number) {
  const end = nextUpdate ?? new Date(thisUpdate.getTime() + withoutNextUpdateMs);
  if (thisUpdate.getTime() > now + skewMs) throw failure(`is ahead of time: ${thisUpdate.toISOString()}`);
  if (end <= thisUpdate) throw failure('gives a response that ends before it begins');
  if (end.getTime() <= now) throw failure(`gives a response that ended at ${end.toISOString()}`);
  return { thisUpdate, nextUpdate: end };
}

function failure(what: string, cause?: unknown): AppError {
  return new AppError('issuer_failed', `the OCSP responder ${what}`, { cause });
}
