import { AppError } from '@lockstep/contract';
import { readCertificates } from '../certificates/certificate-check.ts';
import { x509 } from '../shared/at-first-use.ts';
import { createHttp, exchange } from '../shared/http-exchange.ts';
import { certIdOf, createOcspRequest } from './ocsp-request.ts';
import { readOcspResponse } from './ocsp-response.ts';

/** A response has some 500 bytes, or 2 kB with a responder's certificate. */
const httpOptions = {
  maxContentLength: 65_536,
  responseType: 'arraybuffer',
  headers: { 'content-type': 'application/ocsp-request', 'user-agent': 'lockstep' },
} as const;

export interface FetchStapleOptions {
  /** As `ocspUrlOf` gives it. */
  url: string;
  /** PEM, leaf first, with its issuer. */
  chain: string;
  /** Milliseconds since 1970. */
  now: number;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

export interface Staple {
  /** DER, checked. */
  response: Buffer;
  /** ISO 8601. */
  thisUpdate: string;
  nextUpdate: string;
  status: 'good' | 'revoked' | 'unknown';
}

/** The OCSP responder that the leaf names (RFC 5280, section 4.2.2.1), by http: by https it would need a certificate to check a certificate. */
export function ocspUrlOf(chainPem: string): string | null {
  const { AuthorityInfoAccessExtension, X509Certificate } = x509();
  const [leaf] = readCertificates(chainPem);
  const access = new X509Certificate(leaf!.raw).getExtension(AuthorityInfoAccessExtension);
  const addresses = (access?.ocsp ?? []).filter(({ type }) => type === 'url').map(({ value }) => value);
  return addresses.find((address) => URL.parse(address)?.protocol === 'http:') ?? null;
}

/**
 * Asks an OCSP responder about the leaf of a chain (RFC 6960, RFC 5019) and checks the answer as a client will. Throws `issuer_failed`;
 * aborted, the signal's reason.
 */
export async function fetchStaple({
  url,
  chain,
  now,
  timeoutMs = 10_000,
  signal,
}: FetchStapleOptions): Promise<Staple> {
  const certId = certIdOf(chain);
  const issuer = readCertificates(chain)[1]!;
  const { status, data } = await exchange<Buffer>(
    createHttp(httpOptions),
    { method: 'POST', url, data: createOcspRequest(certId) },
    { timeoutMs, signal, unanswered: (why) => failure(`the OCSP responder cannot be asked: ${why}`) },
  );
  if (status !== 200) throw failure(`the OCSP responder answered with status ${status}`);
  const response = Buffer.from(data);
  const answer = readOcspResponse(response, { certId, issuer, now });
  return {
    response,
    thisUpdate: answer.thisUpdate.toISOString(),
    nextUpdate: answer.nextUpdate.toISOString(),
    status: answer.status,
  };
}

function failure(detail: string): AppError {
  return new AppError('issuer_failed', detail);
}
