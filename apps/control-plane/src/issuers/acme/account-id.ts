import { createHash } from 'node:crypto';
import type { PutIssuer } from '@lockstep/contract';

const zeroSslDirectory = 'https://acme.zerossl.com/v2/DV90';

/** Where an issuer's account is, and what external account it is bound to; null for the internal CA. */
export function directoryOf(config: PutIssuer): { directory: string; eabKid: string | null } | null {
  if (config.type === 'internal') return null;
  // ZeroSSL binds to whatever its API gives out: the account at its directory is the issuer's one.
  if (config.type === 'zerossl') return { directory: zeroSslDirectory, eabKid: null };
  return { directory: config.directory, eabKid: config.eab?.kid ?? null };
}

/** The id of the account's record: another directory, or another binding, is another account. */
export function accountIdOf(issuer: string, config: PutIssuer): string | null {
  const at = directoryOf(config);
  if (at === null) return null;
  const hash = createHash('sha256').update(at.directory);
  if (at.eabKid !== null) hash.update(`\n${at.eabKid}`);
  return `${issuer}-${hash.digest('hex').slice(0, 16)}`;
}
