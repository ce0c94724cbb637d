import { X509Certificate } from 'node:crypto';
import { AppError } from '@lockstep/contract';
import { type CertificateFacts, checkChain, splitChain } from '@lockstep/pki';

export interface BroughtCertificate {
  chain: string;
  keyPem: string;
  names: string[];
  facts: CertificateFacts;
}

// TODO: stands in for checkBrought of @lockstep/pki.
/** Throws `bad_certificate`. */
export function checkBrought({
  chain,
  keyPem,
  now,
}: {
  chain: string;
  keyPem: string;
  now: number;
}): BroughtCertificate {
  const [leaf] = splitChain(chain);
  if (leaf === undefined) throw new AppError('bad_certificate', 'the chain holds no certificate');
  let names: string[];
  try {
    const { subjectAltName = '' } = new X509Certificate(leaf);
    names = [...subjectAltName.matchAll(/DNS:([^,\s]+)/g)].map(([, name]) => name?.toLowerCase() ?? '');
  } catch (cause) {
    throw new AppError('bad_certificate', 'a certificate of the chain cannot be read', { cause });
  }
  const [host] = names;
  if (host === undefined) throw new AppError('bad_certificate', 'the certificate names no host');
  const facts = checkChain({ chain, keyPem, host, now });
  return { chain, keyPem, names, facts };
}
