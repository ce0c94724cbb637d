import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';

export interface LocalhostCertificate {
  chain: string;
  keyPem: string;
  /** PEM of the CA that was made for it. */
  rootPem: string;
}

/** A certificate from a CA of its own, for a day. */
export async function createLocalhostCertificate(host = 'localhost'): Promise<LocalhostCertificate> {
  const now = Date.now();
  const authority = await createAuthority({ now });
  const keyPem = await generateKeyPem();
  const chain = await issueCertificate({ authority, host, keyPem, lifetimeMs: 86_400_000, now });
  return { chain, keyPem, rootPem: authority.certificate };
}
