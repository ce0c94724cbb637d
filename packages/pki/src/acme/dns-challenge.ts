import { createHash } from 'node:crypto';

/** What the TXT record of dns-01 says (RFC 8555, section 8.4). */
export function dnsChallengeValue(keyAuthorization: string): string {
  return createHash('sha256').update(keyAuthorization).digest('base64url');
}
