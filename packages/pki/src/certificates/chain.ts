import { namesHost } from '@lockstep/contract';
import {
  badCertificate,
  type CertificateFacts,
  checkServable,
  factsOf,
  readCertificates,
  readKey,
} from './certificate-check.ts';

export { type CertificateFacts, splitChain } from './certificate-check.ts';

export interface CheckChainOptions {
  /** PEM, leaf first. */
  chain: string;
  /** PKCS#8 PEM. */
  keyPem: string;
  host: string;
  /** Milliseconds since 1970. */
  now: number;
}

/** Checks that an issued chain can be served for a host (see `checkServable`), and names it. Throws `bad_certificate`. */
export function checkChain({ chain, keyPem, host, now }: CheckChainOptions): CertificateFacts {
  const certificates = readCertificates(chain);
  checkServable(certificates, readKey(keyPem), now);
  const leaf = certificates[0]!;
  const facts = factsOf(leaf);
  if (!facts.subjectAltNames.includes(host) && !namesHost(leaf, host)) {
    const names = facts.subjectAltNames.join(', ') || 'nothing';
    throw badCertificate(`the certificate does not name "${host}"; it names ${names}`);
  }
  return facts;
}
