import type { PutIssuer } from '@lockstep/contract';

const letsEncrypt = /^acme(?:-staging)?-v02\.api\.letsencrypt\.org$/;

/** Why an issuer certifies no IP addresses (RFC 8738); null where it does, or where it is the CA's to say. */
export function addressFault(name: string, config: PutIssuer): string | null {
  if (config.type === 'zerossl') return `issuer "${name}": ZeroSSL certifies no IP addresses over ACME`;
  if (config.type === 'internal' || config.profile === 'shortlived') return null;
  if (!URL.canParse(config.directory) || !letsEncrypt.test(new URL(config.directory).hostname)) return null;
  return `issuer "${name}": Let’s Encrypt certifies IP addresses by its profile "shortlived" alone; set profile of the issuer`;
}
