import type { KeyObject, X509Certificate } from 'node:crypto';
import { isAppError, normaliseRouteHost } from '@lockstep/contract';
import {
  altNamesOf,
  badCertificate,
  type CertificateFacts,
  checkLinks,
  checkServable,
  factsOf,
  isForClientsAlone,
  isIssuedBy,
  readCertificates,
  readKey,
} from './certificate-check.ts';

const { createSecureContext } = process.getBuiltinModule('node:tls');

export interface CheckBroughtOptions {
  /** PEM, in any order, with or without the root. */
  chain: string;
  /** PEM, not encrypted: PKCS#8, PKCS#1 or SEC 1. */
  keyPem: string;
  /** Milliseconds since 1970. */
  now: number;
}

export interface BroughtCertificate {
  /** PEM, leaf first, without the root. */
  chain: string;
  /** PKCS#8 PEM. */
  keyPem: string;
  /** The hosts it can be served for: of its DNS names, those that a route can have; none of one that only clients show. */
  names: string[];
  facts: CertificateFacts;
}

/** Checks a certificate that an operator brought, and puts it in order. Throws `bad_certificate`, which never quotes the key. */
export function checkBrought({ chain, keyPem, now }: CheckBroughtOptions): BroughtCertificate {
  const key = readKey(keyPem);
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ec')
    throw badCertificate(`the key is of type ${key.asymmetricKeyType}; clients take RSA and EC keys`);
  const certificates = putInOrder(readCertificates(chain), key);
  const leaf = certificates[0]!;
  const forClients = isForClientsAlone(leaf);
  if (forClients) checkLinks(certificates, key, now);
  else checkServable(certificates, key, now);
  const names = forClients ? [] : hostsOf(leaf);
  const brought = {
    chain: certificates.map((certificate) => `${certificate.toString().trim()}\n`).join(''),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  checkOpenssl(brought);
  return { ...brought, names, facts: factsOf(leaf) };
}

/** The key's certificate, its issuer and so on. Roots, duplicates and second certificates of a CA (cross-signing) go; more is refused. */
function putInOrder(given: readonly X509Certificate[], key: KeyObject): X509Certificate[] {
  const unique = [...new Map(given.map((certificate) => [certificate.fingerprint256, certificate])).values()];
  const leaf = unique.find((certificate) => certificate.checkPrivateKey(key));
  if (leaf === undefined) throw badCertificate('the key does not belong to the certificate');
  const others = unique.filter((certificate) => certificate !== leaf);
  const roots = others.filter((certificate) => isIssuedBy(certificate, certificate));
  const intermediates = others.filter((certificate) => !roots.includes(certificate));
  const chain = [leaf];
  for (;;) {
    const issuer = intermediates.find(
      (candidate) => !chain.includes(candidate) && isIssuedBy(chain.at(-1)!, candidate),
    );
    if (issuer === undefined) break;
    chain.push(issuer);
  }
  const stranger = others.find(
    (other) => !unique.some((given) => given !== other && isIssuedBy(given, other)),
  );
  if (stranger !== undefined) {
    const subject = stranger.subject.replaceAll('\n', ', ');
    throw badCertificate(`the chain is broken: no certificate in it is signed by "${subject}"`);
  }
  return chain;
}

function hostsOf(leaf: X509Certificate): string[] {
  const names = altNamesOf(leaf);
  if (names.length === 0)
    throw badCertificate(
      'the certificate names no DNS name and no IP address; clients look for the host among those',
    );
  const hosts = names.flatMap((name) => {
    try {
      return [normaliseRouteHost(name)];
    } catch (error) {
      if (isAppError(error, 'invalid_request')) return []; // as _sip.example.com: no route can have it
      throw error;
    }
  });
  if (hosts.length === 0)
    throw badCertificate(`the certificate names no host that a route can have: ${names.join(', ')}`);
  return [...new Set(hosts)];
}

/** Whether edges will be able to serve it: OpenSSL has an opinion of its own on short keys and old hashes. */
function checkOpenssl({ chain, keyPem }: { chain: string; keyPem: string }): void {
  try {
    createSecureContext({ cert: chain, key: keyPem });
  } catch (error) {
    const reason = (error as { reason?: string }).reason ?? 'it gives no reason';
    throw badCertificate(`OpenSSL refuses the certificate: ${reason}`);
  }
}
