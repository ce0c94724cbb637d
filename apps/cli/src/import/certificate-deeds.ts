import { issuerOfStorage } from '@lockstep/caddy';
import type { Deed } from './deeds.ts';
import type { FoundCertificate } from './found-certificate.ts';

export interface NamedIssuer {
  name: string;
  type: string;
  directory: string | null;
}

export interface CertificateDeed extends Deed {
  names: string[];
  notAfter: Date;
  issuer: string | null;
}

/** How a certificate is taken over; `issuer`: that renews it, null: nobody does. */
export function certificateDeed(found: FoundCertificate, issuer: string | null): CertificateDeed {
  const { chain, key, names, notAfter, from } = found;
  return {
    what: `certificate ${names[0] ?? from}`,
    method: 'POST',
    path: '/v1/certificates',
    body: { chain, key, ...(issuer !== null && { issuer }) },
    names,
    notAfter,
    issuer,
  };
}

/** The issuer of these that a certificate is from. */
export function issuerOf(
  { storage, directory }: FoundCertificate,
  issuers: readonly NamedIssuer[],
): string | null {
  if (storage !== null) return issuerOfStorage(storage, issuers);
  if (directory === null || !URL.canParse(directory)) return null;
  const { host } = new URL(directory);
  const known = issuers.find(
    (issuer) => issuer.directory !== null && new URL(issuer.directory).host === host,
  );
  return (
    known?.name ??
    (host === 'acme.zerossl.com' ? (issuers.find(({ type }) => type === 'zerossl')?.name ?? null) : null)
  );
}

/** Those that can be served, of each set of names the one that lasts longest; and why the others are not taken. */
export function worthTaking(
  certificates: readonly FoundCertificate[],
  now: number,
): { taken: FoundCertificate[]; passed: { from: string; detail: string }[] } {
  const passed: { from: string; detail: string }[] = [];
  const best = new Map<string, FoundCertificate>();
  for (const one of certificates) {
    const key = one.names.join(' ');
    const known = best.get(key);
    if (one.notAfter.getTime() <= now)
      passed.push({ from: one.from, detail: `expired on ${one.notAfter.toISOString().slice(0, 10)}` });
    else if (known === undefined || known.notAfter < one.notAfter) best.set(key, one);
  }
  return { taken: [...best.values()], passed };
}
