import { createAuthority, generateKeyPem, issueCertificate } from '@lockstep/pki';

const yearMs = 365 * 86_400_000;
const authority = await createAuthority({ now: Date.now() - yearMs });

/** A certificate from another CA, as the body by which an operator brings it. */
export async function makeCertificate(
  host: string,
  { lifetimeMs = 90 * 86_400_000, now = Date.now() } = {},
): Promise<{ chain: string; key: string }> {
  const key = await generateKeyPem();
  return { chain: await issueCertificate({ authority, host, keyPem: key, lifetimeMs, now }), key };
}
